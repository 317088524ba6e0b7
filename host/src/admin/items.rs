//! Items in a JSON document: an array, or one string with `;` between them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::account::Items;

/// Items as they are given over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemsInput(pub Items);

impl<'de> Deserialize<'de> for ItemsInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either).map(ItemsInput)
    }
}

impl Serialize for ItemsInput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Items::Text(text) => serializer.serialize_str(text),
            Items::List(items) => items.serialize(serializer),
        }
    }
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Items;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of strings, or one string with \";\" between the items")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Items, E> {
        Ok(Items::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Items, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<String>()? {
            list.push(item);
        }
        Ok(Items::List(list))
    }
}

impl PartialSchema for ItemsInput {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The items, separated by `;`."));
        let list = ArrayBuilder::new()
            .items(ObjectBuilder::new().schema_type(Type::String))
            .description(Some("The items, one by one."));
        RefOr::T(Schema::OneOf(
            OneOfBuilder::new().item(text).item(list).build(),
        ))
    }
}

impl ToSchema for ItemsInput {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Items")
    }
}
