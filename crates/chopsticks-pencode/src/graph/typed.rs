//! Graph to typed data and back.

use serde::{
    de::{
        Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess,
        VariantAccess, Visitor, value::BorrowedStrDeserializer,
    },
    forward_to_deserialize_any,
    ser::Serialize,
};

use crate::{
    config::{DecodeConfig, EncodeConfig},
    error::{DecodeError, DecodeErrorKind, EncodeError},
    graph::{
        Graph, NODE_WEIGHT,
        value::{Int, Items, Kind, Value},
    },
    int::Parsed,
    marker, number, ser,
};

/// The longest scalar that may be shared again and again at no charge, as when typed data is read
/// from bytes.
const FREE_LEN: u64 = 64;

impl Graph<'_> {
    /// Creates a graph from typed data.
    ///
    /// # Errors
    ///
    /// If the value refuses to be serialized or is beyond a limit, as for
    /// [`to_vec`](crate::to_vec).
    pub fn from_serialize<T: ?Sized + Serialize>(value: &T) -> Result<Graph<'static>, EncodeError> {
        Self::from_serialize_with(value, &EncodeConfig::default())
    }

    /// Creates a graph from typed data, within the given limits.
    ///
    /// # Errors
    ///
    /// If the value refuses to be serialized or is beyond a limit.
    pub fn from_serialize_with<T: ?Sized + Serialize>(
        value: &T,
        config: &EncodeConfig,
    ) -> Result<Graph<'static>, EncodeError> {
        let bytes = ser::to_vec_with(value, config)?;
        Ok(Graph::decode(&bytes).expect("what the encoder writes can be read").into_owned())
    }

    /// Converts the graph to typed data. Text and bytes are borrowed where the type allows it.
    ///
    /// # Errors
    ///
    /// If the graph does not fit the type, contains a cycle, or its shared objects expand beyond
    /// the budget.
    pub fn deserialize<'g, T: Deserialize<'g>>(&'g self) -> Result<T, DecodeError> {
        self.root().deserialize()
    }

    /// Converts the graph to typed data, within the given limits.
    ///
    /// # Errors
    ///
    /// As [`deserialize`](Self::deserialize).
    pub fn deserialize_with<'g, T: Deserialize<'g>>(
        &'g self,
        config: &DecodeConfig,
    ) -> Result<T, DecodeError> {
        self.root().deserialize_with(config)
    }
}

impl<'g> Value<'g> {
    /// Converts the value to typed data, like [`Graph::deserialize`].
    ///
    /// # Errors
    ///
    /// If the value does not fit the type, contains a cycle, or its shared objects expand beyond
    /// the budget.
    pub fn deserialize<T: Deserialize<'g>>(self) -> Result<T, DecodeError> {
        self.deserialize_with(&DecodeConfig::default())
    }

    /// Converts the value to typed data, within the given limits.
    ///
    /// # Errors
    ///
    /// As [`deserialize`](Self::deserialize).
    pub fn deserialize_with<T: Deserialize<'g>>(self, config: &DecodeConfig) -> Result<T, DecodeError> {
        let graph = self.graph();
        let shared_scalars = graph.edges.len() as u64 * (NODE_WEIGHT + FREE_LEN);
        let mut walker = Walker {
            open: Vec::new(),
            left: graph.weight + shared_scalars + config.expansion_limit() as u64,
            config,
        };
        T::deserialize(At { walker: &mut walker, value: self })
    }
}

/// What the walk of one value needs to know.
#[derive(Debug)]
struct Walker<'c> {
    /// The containers that the current value is in.
    open: Vec<u32>,
    /// How much may still be visited: all that there is, every edge to a small scalar, and the
    /// expansion budget.
    left: u64,
    config: &'c DecodeConfig,
}

/// A value that is about to be visited.
#[derive(Debug)]
struct At<'w, 'c, 'g> {
    walker: &'w mut Walker<'c>,
    value: Value<'g>,
}

impl<'w, 'c, 'g> At<'w, 'c, 'g> {
    fn charge(&mut self) -> Result<(), DecodeError> {
        let len = match self.value.kind() {
            Kind::Text(text) => text.len(),
            Kind::Bytes(bytes) => bytes.len(),
            Kind::Int(int) => int.as_big_digits().map_or(0, str::len),
            _ => 0,
        };
        match self.walker.left.checked_sub(NODE_WEIGHT + len as u64) {
            Some(left) => {
                self.walker.left = left;
                Ok(())
            }
            None => {
                let budget = self.walker.config.expansion_limit();
                Err(self.error(DecodeErrorKind::ExpansionBudget { budget }))
            }
        }
    }

    fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::at_object(self.value.id, kind)
    }

    /// Hands the items of a container to `visit`, which has to take all of them.
    fn container<T>(
        self,
        items: Items<'g>,
        visit: impl FnOnce(&mut Access<'_, 'c, 'g>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let number = self.value.id;
        if self.walker.open.contains(&number) {
            return Err(self.error(DecodeErrorKind::Cycle { number }));
        }
        let max_depth = self.walker.config.depth_limit();
        if self.walker.open.len() >= max_depth {
            return Err(self.error(DecodeErrorKind::TooDeep { max_depth }));
        }
        self.walker.open.push(number);
        let mut access = Access { walker: self.walker, items };
        let value = visit(&mut access)?;
        match access.items.len() {
            0 => {}
            left => {
                return Err(DecodeError::custom(format_args!(
                    "{left} more items than the type has room for"
                )));
            }
        }
        access.walker.open.pop();
        Ok(value)
    }

    fn visit<V: Visitor<'g>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let id = self.value.id;
        let result = match self.value.kind() {
            Kind::None => visitor.visit_unit(),
            Kind::Bool(value) => visitor.visit_bool(value),
            Kind::Int(int) => match (int.to_u64(), int.to_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (None, Some(value)) => visitor.visit_i64(value),
                (None, None) => number::visit_big(parsed(int), visitor),
            },
            Kind::Float(value) => visitor.visit_f64(value),
            Kind::Text(text) => visitor.visit_borrowed_str(text),
            Kind::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Kind::List(items) | Kind::Tuple(items) | Kind::Set(items) | Kind::FrozenSet(items) => {
                self.container(items, |items| visitor.visit_seq(items))
            }
            Kind::Dict(pairs) => self.container(pairs.into_items(), |pairs| visitor.visit_map(pairs)),
        };
        result.map_err(|error| error.or_object(id))
    }
}

impl<'g> Deserializer<'g> for At<'_, '_, 'g> {
    type Error = DecodeError;

    forward_to_deserialize_any! {
        <V: Visitor<'g>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier
    }

    fn deserialize_any<V: Visitor<'g>>(mut self, visitor: V) -> Result<V::Value, DecodeError> {
        self.charge()?;
        self.visit(visitor)
    }

    fn deserialize_f32<V: Visitor<'g>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'g>>(mut self, visitor: V) -> Result<V::Value, DecodeError> {
        self.charge()?;
        let id = self.value.id;
        match self.value.as_int() {
            Some(int) => {
                number::visit_float(parsed(int), visitor).map_err(|error: DecodeError| error.or_object(id))
            }
            None => self.visit(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'g>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.value.is_none() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'g>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name != marker::BIG_INT {
            return visitor.visit_newtype_struct(self);
        }
        self.charge()?;
        match self.value.as_int() {
            Some(int) => number::visit_digits(parsed(int), visitor),
            None => self.visit(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'g>>(
        mut self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.charge()?;
        let id = self.value.id;
        let result = match self.value.kind() {
            Kind::Text(text) => visitor.visit_enum(BorrowedStrDeserializer::new(text)),
            Kind::Dict(pairs) if pairs.len() == 1 => {
                self.container(pairs.into_items(), |pair| visitor.visit_enum(pair))
            }
            _ => {
                Err(DecodeError::custom("expected a text or a dict of one pair, the variant and its content"))
            }
        };
        result.map_err(|error| error.or_object(id))
    }

    fn deserialize_ignored_any<V: Visitor<'g>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }
}

/// The items of a container that are still to be visited. A key and a value are an item each.
#[derive(Debug)]
struct Access<'w, 'c, 'g> {
    walker: &'w mut Walker<'c>,
    items: Items<'g>,
}

impl<'g> Access<'_, '_, 'g> {
    fn item<T: DeserializeSeed<'g>>(&mut self, seed: T) -> Result<T::Value, DecodeError> {
        match self.items.next() {
            Some(value) => seed.deserialize(At { walker: self.walker, value }),
            None => Err(DecodeError::custom("fewer items than the type asks for")),
        }
    }
}

impl<'g> SeqAccess<'g> for Access<'_, '_, 'g> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'g>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        if self.items.len() == 0 {
            return Ok(None);
        }
        self.item(seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

impl<'g> MapAccess<'g> for Access<'_, '_, 'g> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'g>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'g>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        self.item(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() / 2)
    }
}

impl<'g> EnumAccess<'g> for &mut Access<'_, '_, 'g> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'g>>(self, seed: V) -> Result<(V::Value, Self), DecodeError> {
        let variant = self.item(seed)?;
        Ok((variant, self))
    }
}

impl<'g> VariantAccess<'g> for &mut Access<'_, '_, 'g> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        self.item(std::marker::PhantomData)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'g>>(self, seed: T) -> Result<T::Value, DecodeError> {
        self.item(seed)
    }

    fn tuple_variant<V: Visitor<'g>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.item(Content(visitor))
    }

    fn struct_variant<V: Visitor<'g>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.item(Content(visitor))
    }
}

/// The content of a variant, for the visitor that knows it.
struct Content<V>(V);

impl<'g, V: Visitor<'g>> DeserializeSeed<'g> for Content<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'g>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_any(self.0)
    }
}

fn parsed(int: Int<'_>) -> Parsed<'_> {
    match (int.to_i64(), int.as_big_digits()) {
        (_, Some(digits)) => Parsed::Big(digits),
        (value, None) => Parsed::Small(value.unwrap_or_default()),
    }
}
