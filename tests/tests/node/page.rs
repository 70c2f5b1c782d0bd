//! A page of metrics, read the strict way: families in one piece, no series twice.

use std::collections::BTreeMap;

/// What a page says.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Each family's type.
    pub(crate) types: BTreeMap<String, String>,
    /// Each series, with its labels in order of the alphabet, and its number.
    pub(crate) series: BTreeMap<String, f64>,
}

impl Page {
    pub(crate) fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut family = String::new();
        assert!(text.ends_with('\n'), "the page's last line is cut");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                name.clone_into(&mut family);
                let before = page.types.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} is in two pieces");
            }
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            let (series, number) = line.rsplit_once(' ').unwrap();
            assert!(series.starts_with(&family), "{series} is not of {family}");
            let number = match number {
                "+Inf" => f64::INFINITY,
                other => other.parse().unwrap_or_else(|_| panic!("{line}")),
            };
            let before = page.series.insert(in_order(series), number);
            assert_eq!(before, None, "{series} is there twice");
        }
        page
    }

    /// The names that begin so.
    pub(crate) fn families<'p>(&'p self, prefix: &'p str) -> impl Iterator<Item = &'p str> {
        let names = self.types.keys().map(String::as_str);
        names.filter(move |name| name.starts_with(prefix))
    }
}

/// The name of a series.
pub(crate) fn name(series: &str) -> &str {
    series.split('{').next().unwrap_or_default()
}

fn in_order(series: &str) -> String {
    let Some((name, labels)) = series.split_once('{') else {
        return series.to_owned();
    };
    let mut rest = labels.strip_suffix('}').unwrap();
    let mut labels = Vec::new();
    while !rest.is_empty() {
        let begin = rest.find("=\"").unwrap() + 2;
        let mut escaped = false;
        let length = rest[begin..]
            .find(|letter| {
                let ends = letter == '"' && !escaped;
                escaped = letter == '\\' && !escaped;
                ends
            })
            .unwrap();
        let end = begin + length + 1;
        labels.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(',');
    }
    labels.sort_unstable();
    format!("{name}{{{}}}", labels.join(","))
}
