//! `closure!`.

use proc_macro2::{Span, TokenStream as Tokens};
use quote::quote;
use syn::{
    Error, Expr, ExprClosure, FnArg, Ident, ItemFn, Pat, ReturnType, parse_quote, parse2,
    spanned::Spanned as _,
};

/// Turns the closure into a function within a block, and returns what makes invocations of it.
pub(crate) fn expand(input: Tokens, krate: &Tokens) -> Result<Tokens, Error> {
    let closure: ExprClosure = parse2(input)?;
    if let Some(capture) = &closure.capture {
        return Err(Error::new(capture.span(), "nothing can be captured: pass it as an argument"));
    }
    let mut inputs = Vec::<FnArg>::new();
    for pattern in &closure.inputs {
        let Pat::Type(typed) = pattern else {
            return Err(Error::new(pattern.span(), "the type of each parameter has to be written out"));
        };
        inputs.push(FnArg::Typed(typed.clone()));
    }
    let output = match &closure.output {
        ReturnType::Default => {
            let message = "the type of the result has to be written out, as in `|x: u8| -> u8 { x }`";
            return Err(Error::new(closure.inputs_end.span(), message));
        }
        output => output,
    };
    let (asyncness, body) = (&closure.asyncness, &closure.body);
    let name = Ident::new("closure", Span::call_site());
    let block = match &**body {
        Expr::Block(block) if block.label.is_none() && block.attrs.is_empty() => quote!(#block),
        body => quote!({ #body }),
    };
    let function: ItemFn = parse_quote!(#asyncness fn #name(#(#inputs),*) #output #block);
    // Closures of a module differ by their places.
    let start = closure.inputs_begin.span().unwrap();
    let place = format!("closure at {}:{}", start.line(), start.column());
    let place = quote!(::core::concat!(::core::module_path!(), "::", #place));
    let rest = crate::expand::rest(&function, &place, false, krate)?;
    Ok(quote!({
        #function
        #rest
        closure::with
    }))
}
