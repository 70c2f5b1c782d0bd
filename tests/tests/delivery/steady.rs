//! All is well: forms, keys, system information, one connection.

use mote_tests::hub::{Form, Hub, HubConfig};

use super::*;

#[test]
fn system_information_goes_with_the_first_delivered_sample_and_no_other() {
    // Twice in vain: what was not delivered does not count.
    let (hub, agent) = met_by([503, 503].map(Misbehaviour::status));
    let samples = hub.wait_for(8, LONG).unwrap();
    let info = &samples[0].body["system_info"];
    assert!(info["cpu_cores"].as_u64() > Some(0), "{info}");
    assert!(info["memory_total_mb"].as_u64() > Some(0), "{info}");
    // A sample that was tried with it keeps it: a repeat is the same bytes.
    let tried = hub.attempts();
    let tried: Vec<&str> = tried
        .iter()
        .filter(|attempt| !attempt.delivered)
        .map(|attempt| attempt.key.as_str())
        .collect();
    for sample in &samples[1..] {
        let has_it = !sample.body["system_info"].is_null();
        assert_eq!(has_it, tried.contains(&sample.key.as_str()), "{sample:?}");
    }
    close_books(&hub, agent);
}

#[test]
fn system_information_goes_again_when_its_period_is_over() {
    let hub = good_hub();
    let builder = hurried(&hub).flag("system-info-period", "1s");
    let agent = builder.start().unwrap();
    let attempts = hub
        .wait_until("a second system_info", LONG, |_, attempts| {
            let with_it = attempts
                .iter()
                .filter(|attempt| !attempt.body["system_info"].is_null());
            with_it.count() == 2
        })
        .unwrap();
    let between =
        attempts.last().unwrap().timestamp_ms().unwrap() - attempts[0].timestamp_ms().unwrap();
    // The period begins at the start, the first sample comes 200 ms later.
    assert!(between >= 700, "again after {between} ms");
    close_books(&hub, agent);
}

#[test]
fn each_form_has_its_names_and_no_others() {
    for (name, form) in [
        ("both", Form::Both),
        ("documented", Form::Documented),
        ("live", Form::Live),
    ] {
        let hub = Hub::start(HubConfig {
            form,
            ..HubConfig::default()
        })
        .unwrap();
        let agent = hurried(&hub).flag("payload", name).start().unwrap();
        let samples = hub.wait_for(3, LONG).unwrap();
        let has_info = !samples[0].body["system_info"].is_null();
        assert_eq!(has_info, form != Form::Documented, "{name}");
        close_books(&hub, agent);
    }
}

#[test]
fn keys_are_unique_and_rise_over_samples_and_starts() {
    let hub = good_hub();
    let builder = hurried(&hub);
    let mut devices = BTreeSet::new();
    for start in 1..=3 {
        let before = hub.received().len();
        let agent = builder.start().unwrap();
        // On a busy machine a newer one may overtake, and be the last that is sent.
        hub.wait_until("four samples of this start", LONG, |_, attempts| {
            let delivered = attempts.iter().filter(|attempt| attempt.delivered);
            let of_start = delivered.filter(|sample| sample.start_number() == Some(start));
            let got: BTreeSet<u64> = of_start.filter_map(Received::sample_number).collect();
            (1..=4).all(|number| got.contains(&number))
        })
        .unwrap();
        close_books(&hub, agent);
        let mut samples = as_taken(hub.received().split_off(before));
        // What the start before held at its end comes too, under its own keys.
        let of_before = |sample: &Received| sample.start_number() == Some(start - 1);
        samples.retain(|sample| !of_before(sample));
        assert_eq!(numbers(&samples)[..4], [1, 2, 3, 4]);
        for sample in samples {
            assert_eq!(sample.start_number(), Some(start), "{}", sample.key);
            let device = sample.key.rsplitn(3, '-').last().unwrap().to_owned();
            devices.insert(device);
        }
    }
    // What a stop cut off in its answer comes again, as the repeat that it is.
    let mut firsts = hub.received();
    firsts.retain(|sample| !sample.repeat);
    let keys: BTreeSet<&String> = firsts.iter().map(|sample| &sample.key).collect();
    assert_eq!(keys.len(), firsts.len(), "{keys:?}");
    assert_eq!(devices.len(), 1, "one device, one name: {devices:?}");
    // The same host with a folder of its own is another device.
    let other = hurried(&hub).start().unwrap();
    let before = hub.stats().delivered;
    let samples = hub.wait_for(before + 1, LONG).unwrap();
    let key = &samples.last().unwrap().key;
    assert!(
        !devices.contains(key.rsplitn(3, '-').last().unwrap()),
        "{key}"
    );
    close_books(&hub, other);
}

#[test]
fn thirty_samples_take_one_connection() {
    let hub = good_hub();
    let agent = hurried(&hub).start().unwrap();
    let samples = hub.wait_for(30, LONG).unwrap();
    let stats = hub.stats();
    assert_eq!((stats.connections, stats.handshakes), (1, 1));
    assert!(complaints(&agent).is_empty(), "{:?}", complaints(&agent));
    for pair in as_taken(samples).windows(2) {
        assert!(pair[0].timestamp_ms() < pair[1].timestamp_ms(), "{pair:?}");
    }
    // The stop may have come while some were on their way.
    assert_eq!(close_books(&hub, agent).dropped, 0);
}

#[test]
fn the_documented_log_lines_keep_their_names_and_types() {
    let hub = good_hub();
    let agent = hurried(&hub).start().unwrap();
    hub.wait_for(2, LONG).unwrap();
    let wanted = |msg: &'static str| {
        let is_it = move |line: &LogLine| line.msg() == msg;
        let line = agent.wait_for_log(is_it, LONG).unwrap();
        assert_eq!(line.level(), "info");
        assert_eq!(line.str("api_key_hash").len(), 8, "{}", line.text);
        assert!(line.str("timestamp").ends_with('Z'), "{}", line.text);
        line
    };
    assert!(
        !wanted("LunaSentri agent starting")
            .str("version")
            .is_empty()
    );
    let info = wanted("System info collected");
    assert!(!info.str("hostname").is_empty());
    assert!(count(&info, "cpu_cores") > Some(0));
    let sent = wanted("Metrics sent successfully");
    assert_eq!(count(&sent, "status_code"), Some(202));
    for name in ["cpu_pct", "mem_pct", "disk_pct"] {
        let (whole, tenths) = sent.str(name).split_once('.').unwrap();
        assert!(whole.parse::<u8>().unwrap() <= 100, "{}", sent.text);
        assert_eq!(tenths.len(), 1, "{}", sent.text);
    }
    close_books(&hub, agent);
}
