//! Interfaces that change: the state of one is remembered from page to page, and every change that
//! the kernel told of is on the next.

use mote_tests::namespace::{self, Own, ip};
use mote_tests::suite::LONG;
use mote_tests::wait::poll_until;

use super::page::Page;
use super::programs::{scrape, start};
use mote_tests::scraped::agent;

/// The number of a series of the interface.
fn number(page: &Page, family: &str, interface: &str) -> Option<f64> {
    let series = format!("node_network_{family}{{device=\"{interface}\"}}");
    page.series.get(&series).copied()
}

/// Whether what is no number has this among its labels.
fn says(page: &Page, label: &str, value: &str) -> bool {
    let words = format!("{label}=\"{value}\"");
    let mut infos = page.series.keys();
    infos.any(|series| series.starts_with("node_network_info") && series.contains(&words))
}

#[test]
fn every_change_of_an_interface_is_on_the_next_page() {
    let name = "links::every_change_of_an_interface_is_on_the_next_page";
    if !namespace::enter(Own::MountsAndNetwork, name) {
        return;
    }
    namespace::mount_sysfs();
    ip(&["link", "add", "wan", "type", "veth", "peer", "name", "far"]);
    let (_agent, address) = start(&agent().unwrap());
    let page = || scrape(address);

    let now = page();
    assert_eq!(number(&now, "mtu_bytes", "wan"), Some(1500.0));
    assert_eq!(number(&now, "up", "wan"), Some(0.0));
    assert!(says(&now, "operstate", "down"));
    // What is remembered is all of it.
    assert_eq!(
        page().families("node_network_").count(),
        now.families("node_network_").count()
    );

    ip(&["link", "set", "wan", "mtu", "1400"]);
    assert_eq!(number(&page(), "mtu_bytes", "wan"), Some(1400.0));
    ip(&["link", "set", "wan", "alias", "uplink"]);
    assert!(says(&page(), "ifalias", "uplink"));
    ip(&["link", "set", "wan", "address", "02:00:00:00:00:07"]);
    assert!(says(&page(), "address", "02:00:00:00:00:07"));

    // One end alone has no carrier.
    ip(&["link", "set", "wan", "up"]);
    assert_eq!(number(&page(), "carrier", "wan"), Some(0.0));
    ip(&["link", "set", "far", "up"]);
    // The carrier is in sysfs at once; the state follows by and by, and only then it is told of.
    let is_up = || {
        let now = page();
        (number(&now, "up", "wan") == Some(1.0)).then_some(now)
    };
    let now = poll_until("the interface to be up", LONG, is_up).unwrap();
    assert_eq!(number(&now, "carrier", "wan"), Some(1.0));

    // More than waits in a socket.
    for mtu in 1300..1400 {
        ip(&["link", "set", "wan", "mtu", &mtu.to_string()]);
    }
    assert_eq!(number(&page(), "mtu_bytes", "wan"), Some(1399.0));

    ip(&["link", "set", "wan", "down"]);
    ip(&["link", "set", "wan", "name", "lan"]);
    let now = page();
    assert_eq!(number(&now, "mtu_bytes", "wan"), None);
    assert_eq!(number(&now, "mtu_bytes", "lan"), Some(1399.0));
    ip(&["link", "delete", "lan"]);
    assert_eq!(number(&page(), "mtu_bytes", "lan"), None);
}
