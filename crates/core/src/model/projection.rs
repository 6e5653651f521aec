//! Which columns of spans are wanted: what is not looked at need not be read.

use std::collections::BTreeSet;

use arrow_schema::Field;

use super::schema::attribute_key;

/// What a look at traces always needs: who called whom, when, and whether it went well.
const OF_TRACES: [&str; 10] = [
    "trace_id",
    "span_id",
    "parent_span_id",
    "service",
    "operation",
    "kind",
    "status",
    "start",
    "duration",
    "weight",
];
const OTHER_ATTRIBUTES: &str = "other_attributes";

/// A set of columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    core: BTreeSet<&'static str>,
    attributes: Attributes,
    has_all: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Attributes {
    /// Those with these keys, whatever they were attached to.
    Of(BTreeSet<String>),
    All,
}

impl Default for Attributes {
    fn default() -> Self {
        Self::Of(BTreeSet::new())
    }
}

impl Projection {
    /// Every column.
    pub fn all() -> Self {
        Self {
            has_all: true,
            ..Self::default()
        }
    }

    /// What traces are put together from, without attributes.
    pub fn of_traces() -> Self {
        Self::default().with_core(&OF_TRACES)
    }

    /// What facts and explanations look at: all of the above and every attribute.
    pub fn of_facts() -> Self {
        Self {
            attributes: Attributes::All,
            ..Self::of_traces()
        }
    }

    /// These columns too.
    #[must_use]
    pub fn with_core(mut self, names: &[&'static str]) -> Self {
        self.core.extend(names);
        self
    }

    /// The attributes with these keys too.
    #[must_use]
    pub fn with_attributes<'a>(mut self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        if let Attributes::Of(known) = &mut self.attributes {
            known.extend(keys.into_iter().map(str::to_owned));
        }
        self
    }

    /// The columns of either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let attributes = match (self.attributes, other.attributes) {
            (Attributes::Of(mut keys), Attributes::Of(more)) => {
                keys.extend(more);
                Attributes::Of(keys)
            }
            _ => Attributes::All,
        };
        let mut core = self.core;
        core.extend(other.core);
        Self {
            core,
            attributes,
            has_all: self.has_all || other.has_all,
        }
    }

    /// Whether the column of this field is wanted. Attributes without a column of their own are, as soon as one
    /// attribute is.
    pub fn contains(&self, field: &Field) -> bool {
        if self.has_all || self.core.contains(field.name().as_str()) && field.metadata().is_empty()
        {
            return true;
        }
        let keys = match &self.attributes {
            Attributes::All => return is_attribute(field),
            Attributes::Of(keys) => keys,
        };
        match attribute_key(field) {
            Some(key) => keys.contains(key),
            None => field.name() == OTHER_ATTRIBUTES && !keys.is_empty(),
        }
    }
}

fn is_attribute(field: &Field) -> bool {
    field.name() == OTHER_ATTRIBUTES || !field.metadata().is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::schema::{attribute_field, core_fields};
    use super::super::value::{Origin, ValueType};
    use super::*;

    fn wanted(projection: &Projection) -> String {
        let mut fields = core_fields();
        fields.push(attribute_field("a", Origin::Span, ValueType::String));
        fields.push(attribute_field("a", Origin::Resource, ValueType::Int));
        fields.push(attribute_field("start", Origin::Span, ValueType::String));
        let names = fields
            .iter()
            .filter(|field| projection.contains(field))
            .map(|field| field.name().as_str());
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_what_was_asked_for() {
        let start = Projection::default().with_core(&["start"]);
        assert_eq!(wanted(&start), "start");
        let a = Projection::default().with_attributes(["a"]);
        assert_eq!(wanted(&a), "other_attributes span.a resource.a:int");
        assert_eq!(
            wanted(&start.or(a)),
            "start other_attributes span.a resource.a:int"
        );
        assert_eq!(wanted(&Projection::all()).split(' ').count(), 18);
        let attributes = " other_attributes span.a resource.a:int span.start";
        let traces = wanted(&Projection::of_traces());
        assert_eq!(
            traces,
            "trace_id span_id parent_span_id service operation kind status start duration weight"
        );
        assert_eq!(wanted(&Projection::of_facts()), traces + attributes);
    }
}
