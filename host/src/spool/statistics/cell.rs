//! Cells: by what is counted, and the form of that as a key.
//!
//! A message counts once in a cell of each dimension. What can be asked together stands in one cell: a class of a list, a
//! user of a list, a campaign of a list; other pairs would be rows by the product, and are not kept.

use crate::message::Class;
use crate::spool::place::{push_text, take_text};

/// What mail is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Its class.
    Class,
    /// The list of its user.
    List,
    /// Its user.
    User,
    /// The domain of a recipient.
    Destination,
    /// Its campaign.
    Campaign,
}

/// The name of all that is beyond the limit of a dimension. No list, user or domain can have it; a campaign of this name
/// is among the others.
pub const OTHERS: &str = "(others)";

impl Dimension {
    const ALL: [Dimension; 5] = [
        Dimension::Class,
        Dimension::List,
        Dimension::User,
        Dimension::Destination,
        Dimension::Campaign,
    ];

    /// The octet that its cells begin with.
    pub(super) const fn octet(self) -> u8 {
        match self {
            Dimension::Class => 1,
            Dimension::List => 2,
            Dimension::User => 3,
            Dimension::Destination => 4,
            Dimension::Campaign => 5,
        }
    }

    /// Cells at most in an hour, and in a block of days; what comes beyond it is counted as [`OTHERS`]. So an hour takes
    /// no more than some megabytes whatever senders come up with, and a question about all names of a year reads no
    /// more than it can in a moment.
    pub(super) const fn cells_max(self) -> i64 {
        match self {
            // There are no others.
            Dimension::Class => 6,
            // A thousand lists, of which each has its classes.
            Dimension::List => 6_000,
            // Ten times the users of a large relay.
            Dimension::User => 10_000,
            // Senders choose these two; those who get most mail are among the first of each hour.
            Dimension::Destination => 2_000,
            Dimension::Campaign => 1_000,
        }
    }

    /// Whether cells of it know all of these dimensions.
    pub(super) fn knows(self, wanted: &[Dimension]) -> bool {
        let known: &[Dimension] = match self {
            Dimension::Class => &[Dimension::Class],
            Dimension::List => &[Dimension::List, Dimension::Class],
            Dimension::User => &[Dimension::User, Dimension::List],
            Dimension::Destination => &[Dimension::Destination],
            Dimension::Campaign => &[Dimension::Campaign, Dimension::List],
        };
        wanted.iter().all(|dimension| known.contains(dimension))
    }

    /// The dimension whose cells answer for all of these, the one with the fewest cells first.
    pub(super) fn that_knows(wanted: &[Dimension]) -> Option<Dimension> {
        Self::ALL
            .into_iter()
            .find(|dimension| dimension.knows(wanted))
    }
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::spool) enum Cell {
    /// Mail of a class; none: what was refused before it had one.
    Class(Option<Class>),
    /// Mail of a list in a class.
    List(String, Option<Class>),
    /// Mail of a user of a list.
    User(String, String),
    /// Mail to a domain.
    Destination(String),
    /// Mail of a campaign of a list.
    Campaign(String, String),
}

impl Cell {
    /// Its dimension.
    pub(super) fn dimension(&self) -> Dimension {
        match self {
            Cell::Class(_) => Dimension::Class,
            Cell::List(..) => Dimension::List,
            Cell::User(..) => Dimension::User,
            Cell::Destination(_) => Dimension::Destination,
            Cell::Campaign(..) => Dimension::Campaign,
        }
    }

    /// The cell of what would be in this one, where there is no room for it.
    pub(super) fn others(self) -> Self {
        match self {
            Cell::Class(class) => Cell::Class(class),
            Cell::List(_, class) => Cell::List(OTHERS.to_owned(), class),
            Cell::User(_, list) => Cell::User(OTHERS.to_owned(), list),
            Cell::Destination(_) => Cell::Destination(OTHERS.to_owned()),
            Cell::Campaign(_, list) => Cell::Campaign(OTHERS.to_owned(), list),
        }
    }

    /// Its form in keys, which tells where it ends: in the order of its names.
    pub(in crate::spool) fn to_key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(32);
        key.push(self.dimension().octet());
        match self {
            Cell::Class(class) => key.push(octet_of(*class)),
            Cell::List(list, class) => {
                push_text(&mut key, list);
                key.push(octet_of(*class));
            }
            Cell::User(name, list) | Cell::Campaign(name, list) => {
                push_text(&mut key, name);
                push_text(&mut key, list);
            }
            Cell::Destination(domain) => push_text(&mut key, domain),
        }
        key
    }

    /// The cell that a key begins with, and what stands behind it; none where it begins with none.
    pub(super) fn from_key(key: &[u8]) -> Option<(Self, &[u8])> {
        let (octet, rest) = key.split_first()?;
        let dimension = Dimension::ALL
            .into_iter()
            .find(|dimension| dimension.octet() == *octet)?;
        Some(match dimension {
            Dimension::Class => {
                let (class, rest) = rest.split_first()?;
                (Cell::Class(class_of(*class)?), rest)
            }
            Dimension::List => {
                let (list, rest) = take_text(rest)?;
                let (class, rest) = rest.split_first()?;
                (Cell::List(list.to_string(), class_of(*class)?), rest)
            }
            Dimension::User => {
                let (user, rest) = take_text(rest)?;
                let (list, rest) = take_text(rest)?;
                (Cell::User(user.to_string(), list.to_string()), rest)
            }
            Dimension::Destination => {
                let (domain, rest) = take_text(rest)?;
                (Cell::Destination(domain.to_string()), rest)
            }
            Dimension::Campaign => {
                let (campaign, rest) = take_text(rest)?;
                let (list, rest) = take_text(rest)?;
                (Cell::Campaign(campaign.to_string(), list.to_string()), rest)
            }
        })
    }
}

/// What the keys of cells begin with whose first name is this.
pub(super) fn named(dimension: Dimension, name: &str) -> Vec<u8> {
    let mut prefix = vec![dimension.octet()];
    push_text(&mut prefix, name);
    prefix
}

fn octet_of(class: Option<Class>) -> u8 {
    class.map_or(0, Class::number)
}

fn class_of(octet: u8) -> Option<Option<Class>> {
    match octet {
        0 => Some(None),
        number => Class::from_number(number).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_read_from_its_key_with_what_stands_behind_it() {
        let text = |text: &str| text.to_owned();
        for cell in [
            Cell::Class(None),
            Cell::Class(Some(Class::VeryLow)),
            Cell::List(text("default"), Some(Class::High)),
            Cell::User(text("\u{fc}ser\0"), text("")),
            Cell::Destination(text("b.example")),
            Cell::Campaign(text("a\0\u{1}b"), text("news")),
        ] {
            let mut key = cell.to_key();
            key.extend_from_slice(b"rest");
            assert_eq!(Cell::from_key(&key), Some((cell.clone(), &b"rest"[..])));
            assert_eq!(Cell::from_key(&key[..1]), None, "{cell:?}");
        }
        assert_eq!(Cell::from_key(&[9, 0, 0]), None);
        assert_eq!(Cell::from_key(&[1, 9]), None);
    }

    #[test]
    fn what_is_asked_together_stands_in_one_cell() {
        use Dimension::{Campaign, Class, Destination, List, User};
        for (wanted, source) in [
            (&[][..], Some(Class)),
            (&[Class], Some(Class)),
            (&[List], Some(List)),
            (&[Class, List], Some(List)),
            (&[User, List], Some(User)),
            (&[Destination], Some(Destination)),
            (&[Campaign, List], Some(Campaign)),
            (&[User, Class], None),
            (&[User, Destination], None),
            (&[Destination, List], None),
        ] {
            assert_eq!(Dimension::that_knows(wanted), source, "{wanted:?}");
        }
    }
}
