//! The options of `#[function]`.

use proc_macro2::TokenStream as Tokens;
use quote::ToTokens as _;
use syn::{LitStr, Path, parse::Parser as _};

/// The options of `#[function]`.
#[derive(Default)]
pub(crate) struct Options {
    /// The name on the wire.
    pub(crate) name: Option<LitStr>,
    /// The path of `chopsticks-function`.
    pub(crate) krate: Option<Tokens>,
    /// Whether it runs in a process of its own.
    pub(crate) is_process: bool,
}

impl Options {
    pub(crate) fn parse(tokens: Tokens) -> syn::Result<Self> {
        let mut options = Self::default();
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("name") {
                options.name = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("crate") {
                options.krate = Some(meta.value()?.parse::<Path>()?.into_token_stream());
            } else if meta.path.is_ident("process") {
                options.is_process = true;
            } else {
                return Err(
                    meta.error("unknown option: expected `name = \"…\"`, `process` or `crate = path`")
                );
            }
            Ok(())
        });
        parser.parse2(tokens)?;
        Ok(options)
    }
}
