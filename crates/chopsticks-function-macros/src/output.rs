//! What a function returns: a value, or items that it yields while it runs.

use proc_macro2::{Span, TokenStream as Tokens};
use quote::{quote, quote_spanned};
use syn::{Error, ReturnType, Signature, Type, spanned::Spanned as _};

use crate::kind::{Items, bare, is_bytes, items_of, result_of};

/// What is written for the result of a function.
pub(crate) struct Output {
    /// The type that `with` returns.
    pub(crate) invocation: Tokens,
    /// The function that creates it, and its last argument.
    pub(crate) create: Tokens,
    pub(crate) read: Tokens,
    /// `: T`, if the type of what the function returns can be written.
    pub(crate) annotation: Tokens,
    /// Statements that turn `output` into an answer. If there are items, they use `sink`.
    pub(crate) finish: Tokens,
    /// The place of the type of the items, if the function yields some.
    pub(crate) items: Option<Span>,
}

/// Returns what is written for the result of a function.
pub(crate) fn output(signature: &Signature, krate: &Tokens) -> Result<Output, Error> {
    let ReturnType::Type(_, ty) = &signature.output else {
        return Ok(Output::of_value(Value::unit(), quote!(: ()), krate));
    };
    let ok = result_of(ty).flatten();
    if let Some(found) = ok.and_then(items_of).or_else(|| items_of(ty)) {
        let unwrap = if ok.is_some() { unwrap(ty, krate) } else { quote!(let value = output;) };
        return Output::of_items(&found?, &unwrap, krate);
    }
    Ok(Output::of_value(Value::of(ty, krate)?, quote!(: #ty), krate))
}

impl Output {
    fn of_value(value: Value, annotation: Tokens, krate: &Tokens) -> Self {
        let Value { ty, read, unwrap, write } = value;
        Self {
            invocation: quote!(#krate::Invocation<#ty>),
            create: quote!(invocation),
            read,
            annotation,
            finish: quote!(#unwrap #krate::__private::#write),
            items: None,
        }
    }

    /// `unwrap` turns what the function returns into the iterator or the stream.
    fn of_items(items: &Items<'_>, unwrap: &Tokens, krate: &Tokens) -> Result<Self, Error> {
        let Items { item, is_stream } = *items;
        let Value { ty, read, unwrap: unwrap_item, write } = Value::of(item, krate)?;
        let each = if is_stream { quote!(items_of_stream) } else { quote!(items) };
        Ok(Self {
            invocation: quote!(#krate::StreamInvocation<#ty>),
            create: quote!(stream_invocation),
            read,
            annotation: Tokens::new(),
            finish: quote! {
                #unwrap
                #krate::__private::#each(value, sink, |output: #item| {
                    #unwrap_item
                    #krate::__private::#write
                })
            },
            items: Some(item.span()),
        })
    }
}

/// How a value is sent.
struct Value {
    /// Its type.
    ty: Tokens,
    read: Tokens,
    /// Statements that turn `output` into `value`, or return.
    unwrap: Tokens,
    /// Encodes `value`.
    write: Tokens,
}

impl Value {
    fn unit() -> Self {
        let unwrap = quote!(let value = output;);
        Self { ty: quote!(()), read: quote!(read_value::<()>), unwrap, write: quote!(value(&value)) }
    }

    fn of(ty: &Type, krate: &Tokens) -> Result<Self, Error> {
        if let Type::Reference(reference) = bare(ty) {
            let text = "the result is sent as a value: return an owned type, such as `String`";
            return Err(Error::new(reference.span(), text));
        }
        if let Type::ImplTrait(other) = bare(ty) {
            let text = "of `impl` types, only `impl Iterator` and `impl Stream` can be sent: write the type of \
                        the result";
            return Err(Error::new(other.span(), text));
        }
        let (value, is_bytes, unwrap) = match result_of(ty) {
            None => (quote!(#ty), is_bytes(ty), quote!(let value = output;)),
            Some(Some(ok)) => (quote!(#ok), is_bytes(ok), unwrap(ty, krate)),
            Some(None) => (quote!(<#ty as #krate::__private::Fallible>::Ok), false, unwrap(ty, krate)),
        };
        let (read, write) = if is_bytes {
            (quote!(read_bytes), quote!(bytes(value)))
        } else {
            (quote!(read_value::<#value>), quote_spanned!(value.span()=> value(&value)))
        };
        Ok(Self { ty: value, read, unwrap, write })
    }
}

/// Returns statements that turn `output`, which is a result of this type, into `value`.
fn unwrap(ty: &Type, krate: &Tokens) -> Tokens {
    quote_spanned! {ty.span()=>
        let value = match output {
            ::core::result::Result::Ok(value) => value,
            ::core::result::Result::Err(error) => {
                #[allow(unused_imports)]
                use #krate::__private::{ByDebug as _, ByDisplay as _, BySerialize as _};
                return (&&&#krate::__private::Returned(&error)).answer();
            }
        };
    }
}
