//! Other programs' files: what is right is on the page, what is wrong costs nobody else.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::programs::{metrics, node_exporter, scrape, start};
use mote_tests::scraped::{agent, promtool};

const GOOD: &str = "# HELP raid_failed Disks that failed.\n# TYPE raid_failed gauge\n\
    raid_failed { array = \"md0\", } 1\nraid_failed{array=\"a \\\"b\\\\c\\n\"} 1.5e3\n\
    # TYPE job_seconds histogram\njob_seconds_bucket{le=\"1\"} 2\njob_seconds_bucket{le=\"+Inf\"} 3\n\
    job_seconds_sum 4.25\njob_seconds_count 3\nnode_reboot_required 0\n";

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

#[test]
fn right_files_are_shown_as_node_exporter_shows_them() {
    let builder = agent().unwrap();
    let folder = builder.dir().join("text");
    fs::create_dir(&folder).unwrap();
    write(&folder, "good.prom", GOOD);
    write(&folder, "more.prom", "raid_spare 2\n");
    write(&folder, "not-one.txt", "raid_other 2\n");
    let (_agent, address) = start(&builder.flag("metrics-textfile-dir", &folder));
    let text = folder.display();
    let exporter = node_exporter(&[format!("--collector.textfile.directory={text}")]);
    let (mine, theirs) = (scrape(address), scrape(exporter.address));
    let of = |begin: &'static str| {
        let mine = mine
            .series
            .iter()
            .filter(move |(it, _)| it.starts_with(begin));
        let theirs = theirs
            .series
            .iter()
            .filter(move |(it, _)| it.starts_with(begin));
        (mine.collect::<Vec<_>>(), theirs.collect::<Vec<_>>())
    };
    for begin in ["raid_", "job_", "node_reboot_", "node_textfile_"] {
        let (mine, theirs) = of(begin);
        assert!(!mine.is_empty(), "{begin}");
        assert_eq!(mine, theirs);
    }
    assert_eq!(mine.types["job_seconds"], "histogram");
    assert!(!mine.types.contains_key("raid_other"));
}

#[test]
fn a_wrong_file_is_left_out_whole_and_named() {
    let builder = agent().unwrap();
    let folder = builder.dir().join("text");
    fs::create_dir(&folder).unwrap();
    write(&folder, "good.prom", GOOD);
    let large = "x_y{z=\"some words that fill the line\"} 1\n".repeat(5_000);
    let wrong = [
        ("cut.prom", "fine 1\nbroken{a=\"b\n"),
        ("no-newline.prom", "fine 1"),
        ("stamped.prom", "stamped 1 1395066363000\n"),
        ("ours.prom", "fine_too 1\nnode_load1 7\n"),
        ("memory.prom", "node_memory_MemTotal_bytes 7\n"),
        ("own.prom", "mote_ready 1\n"),
        ("types.prom", "# TYPE t gauge\n# TYPE t counter\nt 1\n"),
        ("late.prom", "t 1\n# TYPE t counter\n"),
        ("twice.prom", "t{a=\"b\"} 1\nt { a=\"b\", } 2\n"),
        ("large.prom", &large),
    ];
    for (name, text) in wrong {
        write(&folder, name, text);
    }
    let made = Command::new("mkfifo")
        .arg(folder.join("pipe.prom"))
        .status();
    assert!(made.unwrap().success());
    let (agent, address) = start(&builder.flag("metrics-textfile-dir", &folder));
    let page = scrape(address);
    assert_eq!(page.series["raid_failed{array=\"md0\"}"], 1.0);
    assert_eq!(page.series["node_textfile_scrape_error"], 1.0);
    assert!(!page.types.contains_key("fine") && !page.types.contains_key("fine_too"));
    assert_ne!(page.series.get("node_load1"), Some(&7.0));
    let times = page
        .series
        .keys()
        .filter(|it| it.starts_with("node_textfile_mtime_seconds"));
    assert_eq!(times.count(), 1);
    assert_eq!(promtool(&metrics(address)).unwrap(), Vec::<String>::new());
    let line = agent
        .wait_for_log(
            |line| line.msg().starts_with("Text files are left out"),
            super::LONG,
        )
        .unwrap();
    let said = line.field("files").unwrap().as_str().unwrap();
    for (name, _) in wrong {
        assert!(said.contains(name), "{name} is not in {said}");
    }
    assert!(
        said.contains("pipe.prom") && !said.contains("good.prom"),
        "{said}"
    );
    assert!(said.contains("cut.prom: line 2: "), "{said}");
    // Once they are right, or gone, it is over.
    for (name, _) in wrong {
        fs::remove_file(folder.join(name)).unwrap();
    }
    fs::remove_file(folder.join("pipe.prom")).unwrap();
    assert_eq!(scrape(address).series["node_textfile_scrape_error"], 0.0);
}
