//! The fields of a form that was sent.
//!
//! Forms come from our own pages, so a field that is not there reads as empty and what it means is checked by those
//! who take it, as for the API. The size is bounded where bodies are.

use form_urlencoded::parse;

/// The fields, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a body of `application/x-www-form-urlencoded`.
    pub(super) fn read(body: &[u8]) -> Self {
        Self(parse(body).into_owned().collect())
    }

    /// The first of that name; empty when there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        let mut named = self.0.iter().filter(|(given, _)| given == name);
        named.next().map_or("", |(_, value)| value.as_str())
    }

    /// The first of that name, blanks around it left out; none when nothing is in it.
    pub(super) fn given(&self, name: &str) -> Option<String> {
        let text = self.text(name).trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// All of that name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(given, _)| given == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Whether a box was ticked.
    pub(super) fn is_ticked(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| given == name)
    }

    /// Those with something in them whose names are among `names`, as they came.
    pub(super) fn among<'a>(
        &'a self,
        names: &'a [&str],
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let given = self
            .0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        given.filter(move |(name, value)| !value.is_empty() && names.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_a_browser_sends_them() {
        let fields = Fields::read(b"name=+ann+&id=1&id=2&note=a%0D%0Ab%26&empty=&on=on&%FF=x");
        assert_eq!(fields.given("name"), Some("ann".to_owned()));
        assert_eq!(fields.text("name"), " ann ");
        assert_eq!(fields.all("id").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(fields.text("note"), "a\r\nb&");
        assert_eq!(fields.given("empty"), None);
        assert!(fields.is_ticked("on") && !fields.is_ticked("off"));
        let among: Vec<_> = fields.among(&["id", "empty"]).collect();
        assert_eq!(among, [("id", "1"), ("id", "2")]);
    }
}
