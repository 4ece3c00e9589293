//! The positional arguments of a call.

use chopsticks_pencode::marshal::{self, EncodeError};
use serde::Serialize;

/// The positional arguments of a call: a tuple of up to 16 values that implement [`serde::Serialize`].
///
/// `()` stands for no arguments and `(argument,)` for a single one. The compiler refuses a lone
/// value, because it could be meant as one argument or as a list of several:
///
/// ```compile_fail
/// chopsticks_tunnel::Call::new("os:listdir").args("/tmp");
/// ```
///
/// ```compile_fail
/// chopsticks_tunnel::Call::new("os:listdir").args(vec!["/tmp"]);
/// ```
///
/// [`Call::arg`](crate::Call::arg) adds arguments one by one, for a number that is known only when the
/// program runs.
///
/// The trait is sealed: it cannot be implemented outside of this crate.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tuple of positional arguments",
    label = "expected a tuple, such as `(argument,)`",
    note = "write `(argument,)` for one argument and `()` for none",
    note = "`Call::arg` adds arguments one by one when their number is not known in advance"
)]
pub trait Args: sealed::Sealed {
    /// Returns the arguments as a tuple in `marshal`, or nothing if there are none.
    #[doc(hidden)]
    fn encode(&self) -> Result<Vec<u8>, EncodeError>;
}

impl<T: Args + ?Sized> Args for &T {
    fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        (**self).encode()
    }
}

impl Args for () {
    fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        // As a value `()` is a unit, which would be written as `None`.
        Ok(Vec::new())
    }
}

/// Implements the trait for tuples of these types, and of fewer of them.
macro_rules! tuples {
    () => {};
    ($first:ident $($name:ident)*) => {
        impl<$first: Serialize, $($name: Serialize),*> Args for ($first, $($name,)*) {
            fn encode(&self) -> Result<Vec<u8>, EncodeError> {
                marshal::to_vec(self)
            }
        }

        impl<$first: Serialize, $($name: Serialize),*> sealed::Sealed for ($first, $($name,)*) {}

        tuples!($($name)*);
    };
}

tuples!(A B C D E F G H I J K L M N O P);

mod sealed {
    #[expect(unnameable_types, reason = "others are not to implement the trait")]
    pub trait Sealed {}

    impl Sealed for () {}

    impl<T: Sealed + ?Sized> Sealed for &T {}
}
