//! Certificates that are renewed under a running agent.

use std::fs;
use std::path::Path;

use mote_tests::agent::{AgentBuilder, LogLine};

use crate::authority::{Authority, Form, Pair};
use crate::{LONG, behind_nginx, good_hub, has_line, hurried, showing, wait_for_failure};

const READ_AGAIN: &str = "TLS files read again";
const NOT_USABLE: &str = "TLS files cannot be used, the former ones stay in use";

/// Puts a copy in place, as renewals do: the file is never there in part.
fn replace(place: &Path, source: &Path) {
    let fresh = place.with_extension("fresh");
    fs::copy(source, &fresh).unwrap();
    fs::rename(fresh, place).unwrap();
}

/// The files that an agent or a server is told of, in its folder, with what is in them by now.
fn place(builder: &AgentBuilder, name: &str) -> Pair {
    Pair {
        certificate: builder.dir().join(format!("{name}.pem")),
        key: builder.dir().join(format!("{name}.key")),
    }
}

fn replace_pair(place: &Pair, source: &Pair) {
    replace(&place.certificate, &source.certificate);
    replace(&place.key, &source.key);
}

#[test]
fn a_new_authority_and_new_certificates_are_used_at_the_next_connection() {
    let test = "a_new_authority_and_new_certificates_are_used_at_the_next_connection";
    let builder = AgentBuilder::new().unwrap().hurried();
    let (server, device) = (place(&builder, "server"), place(&builder, "device"));
    let ca = builder.dir().join("ca.pem");
    let renew = |authority: &Authority| {
        replace(&ca, &authority.pem());
        replace_pair(&server, &authority.server());
        replace_pair(&device, &authority.device("device", Form::EcPkcs8));
    };
    renew(&Authority::new("first"));
    let fronted = behind_nginx(test, &server, |front| front.client_ca = Some(ca.clone()));
    let Some((hub, nginx)) = fronted else { return };
    let builder = builder
        .for_hub(&hub)
        .flag("server-url", nginx.url())
        .flag("tls-ca-file", &ca);
    let agent = showing(builder, &device).start().unwrap();
    hub.wait_for(3, LONG).unwrap();
    assert!(!has_line(&agent, READ_AGAIN));

    renew(&Authority::new("second"));
    nginx.reload().unwrap();
    let read_again = |line: &LogLine| line.msg() == READ_AGAIN;
    agent.wait_for_log(read_again, LONG).unwrap();
    let before = hub.stats().delivered;
    hub.wait_for(before + 5, LONG).unwrap();
    let last = nginx.requests().pop().unwrap();
    assert_eq!((last.client.as_str(), last.status), ("SUCCESS", 202));
    assert!(last.connection > nginx.requests()[0].connection);
}

#[test]
fn half_of_a_renewal_leaves_the_former_certificate_in_use() {
    let ours = Authority::new("ours");
    let hub = good_hub();
    let builder = hurried(&hub);
    let device = place(&builder, "device");
    replace_pair(&device, &ours.device("device", Form::EcPkcs8));
    let agent = showing(builder, &device).start().unwrap();
    hub.wait_for(2, LONG).unwrap();

    let renewed = ours.device("renewed", Form::RsaPkcs1);
    replace(&device.certificate, &renewed.certificate);
    let is_unusable = |line: &LogLine| line.msg() == NOT_USABLE;
    for _ in 0..3 {
        // Each time a new connection, and the line only once.
        let stats = hub.stats();
        hub.drop_connections();
        hub.wait_until("deliveries over a new connection", LONG, |now, _| {
            now.handshakes > stats.handshakes && now.delivered > stats.delivered + 1
        })
        .unwrap();
    }
    let said: Vec<_> = agent.log().into_iter().filter(is_unusable).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0]
            .str("error")
            .contains("not the key of the first certificate")
    );
    assert!(!has_line(&agent, READ_AGAIN));

    replace(&device.key, &renewed.key);
    hub.drop_connections();
    let read_again = |line: &LogLine| line.msg() == READ_AGAIN;
    agent.wait_for_log(read_again, LONG).unwrap();
    let before = hub.stats().delivered;
    hub.wait_for(before + 2, LONG).unwrap();
}

#[test]
fn an_authority_that_is_no_longer_trusted_is_not_believed_by_a_resumed_session() {
    let hub = good_hub();
    let builder = hurried(&hub);
    let ca = builder.dir().join("ca.pem");
    replace(&ca, hub.ca_pem_path());
    let agent = builder.flag("tls-ca-file", &ca).start().unwrap();
    hub.wait_for(3, LONG).unwrap();
    hub.drop_connections();
    hub.wait_until("a resumed session", LONG, |stats, _| stats.resumed == 1)
        .unwrap();

    let from = agent.log().len();
    replace(&ca, &Authority::new("other").pem());
    hub.drop_connections();
    wait_for_failure(
        &agent,
        from,
        &["unknown issuer: no authority in tls.ca_file"],
    );
    assert_eq!(hub.stats().resumed, 1);
}
