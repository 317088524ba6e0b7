//! Links inside the documentation lead somewhere.

use std::collections::HashSet;

use super::{File, assert_none, files, top};

/// Lines of a document that are no example.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_example = false;
    text.lines().enumerate().filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_example ^= is_fence;
        !is_example && !is_fence
    })
}

/// What the name of a heading is made of, as GitHub makes it: small letters, digits, hyphens for blanks.
fn slug(heading: &str) -> String {
    let kept = heading
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    let kept: String = kept.collect();
    kept.to_lowercase().replace(' ', "-")
}

/// What a link can lead to in a document: its headings, those of the same name counted, and its anchors.
fn places(text: &str) -> HashSet<String> {
    let mut found = HashSet::new();
    for (_, line) in prose(text) {
        let heading = line.trim_start_matches('#');
        if line.starts_with('#') && heading.starts_with(' ') {
            let name = slug(heading);
            let again = (1..).map(|count| format!("{name}-{count}"));
            let mut names = std::iter::once(name.clone()).chain(again);
            found.extend(names.find(|name| !found.contains(name)));
        }
        let anchors = line.split("<a id=\"").skip(1);
        found.extend(anchors.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    }
    found
}

/// Links of a document with a `#`: the line, the file, which is empty for the document itself, and the place.
fn links(text: &str) -> Vec<(usize, &str, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for rest in line.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if let Some((file, place)) = target.split_once('#')
                && !file.contains("://")
            {
                found.push((number + 1, file, place));
            }
        }
    }
    found
}

#[test]
fn every_link_to_a_heading_has_one_to_lead_to() {
    let mut documents = files("docs", ".md");
    for path in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"] {
        documents.push(File {
            path: path.to_owned(),
            text: std::fs::read_to_string(top().join(path)).unwrap(),
        });
    }
    let mut count = 0;
    let mut lost = Vec::new();
    for document in &documents {
        for (line, file, place) in links(&document.text) {
            count += 1;
            let folder = document
                .path
                .rsplit_once('/')
                .map_or("", |(folder, _)| folder);
            let leads = match file {
                "" => places(&document.text).contains(place),
                file => std::fs::read_to_string(top().join(folder).join(file))
                    .is_ok_and(|text| places(&text).contains(place)),
            };
            if !leads {
                lost.push(format!("{}:{line}: {file}#{place}", document.path));
            }
        }
    }
    assert!(count > 50, "links are found at all: {count}");
    assert_none("links that lead nowhere", &lost);
}

#[test]
fn a_link_that_leads_nowhere_is_seen() {
    let text = "# A (b) & c!\n## Twice\n## Twice\n```\n# no heading [x](#no)\n```\n<a id=\"here\"></a>[y](#lost)";
    let found = places(text);
    for place in ["a-b--c", "twice", "twice-1", "here"] {
        assert!(found.contains(place), "{place}: {found:?}");
    }
    assert_eq!(found.len(), 4);
    assert_eq!(links(text), [(7, "", "lost")]);
}
