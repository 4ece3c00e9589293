//! What kinds of types parameters and results have, as far as their spelling says.

use proc_macro2::TokenStream as Tokens;
use quote::{quote, quote_spanned};
use syn::{GenericArgument, PathArguments, Type, TypePath, spanned::Spanned as _};

/// Removes invisible and visible parentheses.
pub(crate) fn bare(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            ty => return ty,
        };
    }
}

/// Whether values of the type are bytes, which are not sent as a list of numbers: `Vec<u8>`, or
/// `&[u8]`.
pub(crate) fn is_bytes(ty: &Type) -> bool {
    match bare(ty) {
        Type::Reference(reference) => {
            matches!(bare(&reference.elem), Type::Slice(slice) if is_u8(&slice.elem))
        }
        Type::Path(path) => {
            arguments(path, "Vec").is_some_and(|arguments| matches!(arguments[..], [ty] if is_u8(ty)))
        }
        _ => false,
    }
}

/// Returns the type that is decoded on the host for a parameter.
pub(crate) fn owned(ty: &Type, krate: &Tokens) -> Tokens {
    if is_bytes(ty) {
        return quote!(#krate::__private::ByteBuf);
    }
    match bare(ty) {
        Type::Reference(reference) => {
            let inner = &reference.elem;
            quote_spanned!(ty.span()=> <#inner as ::std::borrow::ToOwned>::Owned)
        }
        ty => quote!(#ty),
    }
}

/// Returns whether a type is some `Result` by its name, and the type of its `Ok` if it says so.
pub(crate) fn result_of(ty: &Type) -> Option<Option<&Type>> {
    let Type::Path(path) = bare(ty) else { return None };
    let arguments = arguments(path, "Result")?;
    Some(arguments.first().copied())
}

/// Returns the types in the angle brackets of a path, if its last part is `name`.
fn arguments<'a>(path: &'a TypePath, name: &str) -> Option<Vec<&'a Type>> {
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Some(Vec::new()) };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    Some(types.collect())
}

fn is_u8(ty: &Type) -> bool {
    matches!(bare(ty), Type::Path(path) if path.path.is_ident("u8"))
}
