//! What kinds of types parameters and results have, as far as their spelling says.

use proc_macro2::TokenStream as Tokens;
use quote::{quote, quote_spanned};
use syn::{Error, GenericArgument, PathArguments, Type, TypeParamBound, TypePath, spanned::Spanned as _};

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

/// The items that a function yields while it runs.
pub(crate) struct Items<'a> {
    /// Their type.
    pub(crate) item: &'a Type,
    /// Whether they come from a `Stream`, and not from an iterator.
    pub(crate) is_stream: bool,
}

/// Returns the items of a type that is an iterator or a stream by its spelling, such as
/// `impl Iterator<Item = u64>` and `Pin<Box<dyn Stream<Item = u64> + Send>>`.
pub(crate) fn items_of(ty: &Type) -> Option<Result<Items<'_>, Error>> {
    match bare(ty) {
        Type::ImplTrait(ty) => items_of_bounds(&ty.bounds),
        Type::TraitObject(ty) => items_of_bounds(&ty.bounds),
        Type::Path(path) => {
            if let Some(&[item]) = arguments(path, "BoxStream").as_deref() {
                return Some(Ok(Items { item, is_stream: true }));
            }
            let inner = arguments(path, "Box").or_else(|| arguments(path, "Pin"))?;
            items_of(inner.first()?)
        }
        _ => None,
    }
}

fn items_of_bounds<'a>(
    bounds: impl IntoIterator<Item = &'a TypeParamBound>,
) -> Option<Result<Items<'a>, Error>> {
    let traits = bounds.into_iter().filter_map(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last(),
        _ => None,
    });
    let is_stream = |name: &str| match name {
        "Iterator" | "IntoIterator" | "DoubleEndedIterator" | "ExactSizeIterator" | "FusedIterator" => {
            Some(false)
        }
        "Stream" | "FusedStream" => Some(true),
        _ => None,
    };
    let mut found = None;
    for last in traits {
        let Some(is_stream) = is_stream(&last.ident.to_string()) else { continue };
        if let PathArguments::AngleBracketed(arguments) = &last.arguments {
            for argument in &arguments.args {
                if let GenericArgument::AssocType(assigned) = argument
                    && assigned.ident == "Item"
                {
                    return Some(Ok(Items { item: &assigned.ty, is_stream }));
                }
            }
        }
        let text = "write the type of the items, as in `impl Iterator<Item = u64>`";
        found.get_or_insert_with(|| Err(Error::new(last.span(), text)));
    }
    found
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
