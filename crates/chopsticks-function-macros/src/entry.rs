//! `#[main]`.

use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{Error, ItemFn, parse2, spanned::Spanned as _};

/// Wraps `main` in another function, which first becomes an agent if it has to.
///
/// Attributes stay with the inner function, so that a runtime is not even started on hosts.
pub(crate) fn expand(options: Tokens, item: Tokens, krate: &Tokens) -> Result<Tokens, Error> {
    if !options.is_empty() {
        return Err(Error::new(options.span(), "`main` takes no options"));
    }
    let function: ItemFn = parse2(item)?;
    if !function.sig.inputs.is_empty() {
        return Err(Error::new(function.sig.inputs.span(), "`main` takes no arguments"));
    }
    if let Some(asyncness) = &function.sig.asyncness
        && function.attrs.iter().all(|attribute| attribute.path().is_ident("doc"))
    {
        let message = "an `async` function needs a runtime: put `#[tokio::main]` below this attribute";
        return Err(Error::new(asyncness.span(), message));
    }
    let ItemFn { vis, sig, .. } = &function;
    let (name, output) = (&sig.ident, &sig.output);
    Ok(quote! {
        #vis fn #name() #output {
            #krate::init();
            #function
            #name()
        }
    })
}
