//! Files of other programs: taken whole, left out whole, and what is said of them.

use mote_core::wire::prometheus::Lines;

use super::super::page::Mark;
use super::*;

/// A folder with these files, and what is made of it: the page, and whether something was wrong.
fn read(name: &str, files: &[(&str, &str)]) -> (String, bool) {
    let folder = format!("mote-text-{name}-{}", std::process::id());
    let folder = std::env::temp_dir().join(folder);
    fs::create_dir_all(&folder).unwrap();
    for (file, text) in files {
        fs::write(folder.join(file), text).unwrap();
    }
    let mut texts = Textfiles::new(Some(folder.clone()));
    let mut scratch = Scratch::new();
    assert!(texts.load(&mut scratch, &|name| name == b"ours"));
    fs::remove_dir_all(folder).unwrap();
    let mut buffer = vec![0; 1024 * 1024];
    let mut out = Lines::new(&mut buffer, 0);
    let mut mark = Mark::default();
    let mut page = Page {
        out: &mut out,
        mark: &mut mark,
    };
    texts.write(&mut page, &scratch).unwrap();
    let used = out.len();
    let page = String::from_utf8(buffer[..used].to_vec()).unwrap();
    (page, texts.has_error)
}

#[test]
fn families_come_together_whatever_lies_between_their_lines() {
    let text = "a 1\nb{x=\"1\"} 2\n# HELP b Some b.\n\n# nothing\nb{x=\"2\"} 3\na_sum 4\n";
    let (page, has_error) = read("together", &[("one.prom", text)]);
    assert!(!has_error, "{page}");
    let b = "# HELP b Some b.\n# TYPE b untyped\nb{x=\"1\"} 2\nb{x=\"2\"} 3\n";
    assert!(page.contains(b), "{page}");
    assert!(page.contains("# TYPE a_sum untyped\na_sum 4\n"), "{page}");
}

#[test]
fn two_files_may_share_a_family_but_not_a_series_nor_disagree() {
    let files = [
        ("one.prom", "# TYPE a gauge\na{x=\"1\"} 1\n"),
        ("two.prom", "# TYPE a gauge\na{x=\"2\"} 2\n"),
    ];
    let (page, has_error) = read("share", &files);
    assert!(!has_error, "{page}");
    assert_eq!(page.matches("# TYPE a gauge").count(), 1);
    assert!(page.contains("a{x=\"1\"} 1\n") && page.contains("a{x=\"2\"} 2\n"));
    let clashes = [
        [
            "# TYPE a gauge\na{x=\"1\"} 1\n",
            "# TYPE a counter\na{x=\"2\"} 2\n",
        ],
        ["a{x=\"1\"} 1\n", "a{x=\"1\",} 2\n"],
    ];
    for (at, [one, two]) in clashes.into_iter().enumerate() {
        let files = [("one.prom", one), ("two.prom", two)];
        let (page, has_error) = read(&format!("clash-{at}"), &files);
        assert!(has_error, "{page}");
        assert_eq!(page.matches("\na{").count(), 1, "{page}");
    }
}

#[test]
fn a_histograms_parts_are_its_own() {
    let text = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n\
        # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 1\n";
    let (page, has_error) = read("parts", &[("one.prom", text)]);
    assert!(!has_error, "{page}");
    assert!(page.contains("h_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n"));
    assert!(!page.contains("TYPE h_sum") && !page.contains("TYPE s_count"));
}

#[test]
fn more_lines_than_there_is_room_for_leave_their_file_out() {
    let names = (0..ENTRIES).map(|at| ["a", &at.to_string(), " 1\n"].concat());
    let many: String = names.collect();
    let files = [("many.prom", &*many), ("one.prom", "b 1\n")];
    let (page, has_error) = read("many", &files);
    assert!(has_error);
    assert!(
        page.contains("\nb 1\n") && !page.contains("\na0 1\n"),
        "{page}"
    );
}

#[test]
fn no_bytes_break_the_page() {
    let mut rng = mote_core::rng::Rng::new(20_261_123);
    for round in 0..300 {
        let parts = [
            "# TYPE a gauge\n",
            "# TYPE a histogram\n",
            "# HELP a x\n",
            "a 1\n",
            "a_sum 2\n",
            "a{b=\"c\"} 3\n",
            "b 4\n",
            "b 5\n",
            "ours 1\n",
            "x",
            "{",
            "\n",
            "\u{fffd}",
            "a{b=\"",
        ];
        let text: String = (0..rng.below(12))
            .map(|_| parts[rng.below(parts.len() as u64) as usize])
            .collect();
        let (page, has_error) = read(&format!("any-{round}"), &[("one.prom", &text)]);
        let mut types: Vec<_> = page
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .collect();
        let count = types.len();
        types.sort_unstable_by_key(|line| line.split(' ').nth(2));
        types.dedup_by_key(|line| line.split(' ').nth(2).map(str::to_owned));
        assert_eq!(types.len(), count, "{text:?} gives {page}");
        assert_eq!(page.contains("node_textfile_scrape_error 1"), has_error);
        assert!(!page.contains("\nours "), "{text:?}");
    }
}

#[test]
fn a_file_without_end_is_left_out_and_not_read_to_it() {
    let folder = std::env::temp_dir().join(format!("mote-text-endless-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("good.prom"), "a 1\n").unwrap();
    let file = File::create(folder.join("log.prom")).unwrap();
    // It takes no room on the disk, and a day to read.
    file.set_len(1 << 42).unwrap();
    let mut texts = Textfiles::new(Some(folder.clone()));
    texts.load(&mut Scratch::new(), &|_| false);
    fs::remove_dir_all(folder).unwrap();
    assert!(
        texts.has_error && texts.said.contains("log.prom"),
        "{}",
        texts.said
    );
    assert_eq!(texts.entries.len(), 2, "the good one and its time");
}

#[test]
fn a_folder_of_countless_files_costs_no_memory() {
    let folder = std::env::temp_dir().join(format!("mote-text-countless-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for number in 0..3_000 {
        fs::write(folder.join(format!("{number}.prom")), "wrong\n").unwrap();
    }
    let mut texts = Textfiles::new(Some(folder.clone()));
    texts.load(&mut Scratch::new(), &|_| false);
    fs::remove_dir_all(folder).unwrap();
    assert!(texts.has_error);
    assert!(texts.said.len() < 8_192, "{}", texts.said.len());
}
