//! References, which are read again as what they name, and what that may cost.

use super::super::{
    cursor::{Cursor, Item},
    error::{DecodeError, DecodeErrorKind},
};
use super::{Deserializer, FREE_LEN};

/// What reading a value once more counts in the expansion budget, besides its text or bytes.
const VALUE_WEIGHT: usize = 16;

impl<'de> Deserializer<'de> {
    /// Tells a cycle from bytes that end.
    #[cold]
    pub(super) fn fault(&self, error: DecodeError) -> DecodeError {
        match (self.expanding, error.kind()) {
            (Some(reference), DecodeErrorKind::UnexpectedEnd | DecodeErrorKind::CountBeyondEnd { .. }) => {
                DecodeError::new(reference, DecodeErrorKind::Cycle)
            }
            _ => error,
        }
    }

    #[inline]
    pub(super) fn spend(&mut self, len: usize) -> Result<(), DecodeError> {
        match self.budget.checked_sub(VALUE_WEIGHT + len) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => {
                let budget = self.max_budget;
                let offset = self.place(self.cursor.position);
                Err(DecodeError::new(offset, DecodeErrorKind::ExpansionBudget { budget }))
            }
        }
    }

    /// Returns where an item stands in the tree: what is expanded stands at its reference.
    pub(super) fn place(&self, start: usize) -> usize {
        self.expanding.unwrap_or(start)
    }

    #[inline]
    pub(super) fn object(&self, index: u32, start: usize) -> Result<usize, DecodeError> {
        match self.objects.get(index as usize) {
            Some(&offset) => Ok(offset as usize),
            None => {
                let known = self.objects.len();
                Err(DecodeError::new(start, DecodeErrorKind::UnknownReference { index, known }))
            }
        }
    }

    /// Reads object `index` in the place of the reference to it at `start`, and gives it to
    /// `visit`.
    #[inline]
    pub(super) fn expand<R>(
        &mut self,
        index: u32,
        start: usize,
        visit: impl FnOnce(&mut Self, Item<'de>) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        let object = self.object(index, start)?;
        let mut cursor = Cursor { data: self.data, position: object };
        let mut item = cursor.item()?;
        if let Some(len) = item.token.scalar_len() {
            // Nothing more is to be read there.
            item.start = start;
            if len > FREE_LEN {
                self.spend(len)?;
            }
            return visit(self, item);
        }
        cursor.data = &self.data[..start];
        self.expand_container(cursor, item, start, visit)
    }

    fn expand_container<R>(
        &mut self,
        cursor: Cursor<'de>,
        item: Item<'de>,
        start: usize,
        visit: impl FnOnce(&mut Self, Item<'de>) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        self.spend(0)?;
        let saved = (self.cursor, self.expanding);
        self.expanding = Some(self.place(start));
        self.cursor = cursor;
        let result = visit(self, item);
        (self.cursor, self.expanding) = saved;
        result
    }
}
