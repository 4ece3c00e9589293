//! `#[function]`.

use proc_macro2::{Delimiter, Spacing, Span, TokenStream as Tokens, TokenTree};
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Error, FnArg, GenericParam, Ident, ItemFn, Pat, Safety, Signature, Type, parse2, spanned::Spanned as _,
};

use crate::{
    kind::{bare, is_bytes, owned},
    options::Options,
    output::{Output, output},
};

/// Returns the function, and what lets it be called on hosts.
pub(crate) fn function(options: Tokens, item: Tokens, krate: Tokens) -> Tokens {
    // Without this, everything that uses the function would be reported too.
    let rest = expand(options, item.clone(), krate).unwrap_or_else(|error| error.to_compile_error());
    quote!(#item #rest)
}

fn expand(options: Tokens, item: Tokens, krate: Tokens) -> Result<Tokens, Error> {
    let Options { name, krate: other, is_process } = Options::parse(options)?;
    let krate = other.unwrap_or(krate);
    let not_a_function = |error: Error| Error::new(error.span(), "only functions can run on hosts");
    let function: ItemFn = parse2(item).map_err(not_a_function)?;
    let ident = &function.sig.ident;
    let name = match name {
        Some(name) => quote!(#name),
        None => quote!(::core::concat!(::core::module_path!(), "::", ::core::stringify!(#ident))),
    };
    rest(&function, &name, is_process, &krate)
}

/// Returns what is written beside the function. `name` is an expression: its name on the wire.
/// `is_process` says that it runs in a process of its own.
pub(crate) fn rest(
    function: &ItemFn,
    name: &Tokens,
    is_process: bool,
    krate: &Tokens,
) -> Result<Tokens, Error> {
    let signature = &function.sig;
    let parameters = parameters(signature)?;
    let (ident, visibility) = (&signature.ident, &function.vis);
    let names: Vec<_> = parameters.iter().map(|(name, _)| name).collect();
    let types: Vec<_> = parameters.iter().map(|(_, ty)| *ty).collect();
    let Output { invocation, create, read, annotation, finish, items } = output(signature, krate)?;
    let (body, sink) = match items {
        Some(place) if is_process => {
            let text = "a function that yields items cannot run in a process of its own: leave out `process`";
            return Err(Error::new(place, text));
        }
        Some(_) => (quote!(Items), quote!(, sink: &mut dyn #krate::__private::Sink)),
        None => (quote!(Value), Tokens::new()),
    };
    let sent = parameters.iter().map(|(name, ty)| match is_bytes(ty) {
        true => quote!(#krate::__private::Bytes::new(&#name)),
        false => quote_spanned!(ty.span()=> #krate::__private::sent(&#name)),
    });
    let owned = types.iter().map(|ty| owned(ty, krate));
    let lent = parameters.iter().map(|(name, ty)| match (bare(ty), is_bytes(ty)) {
        (Type::Reference(_), _) => quote!(&#name),
        (_, true) => quote!(#name.into_vec()),
        _ => quote!(#name),
    });
    let call = quote!(#ident(#(#lent),*));
    let call = match signature.asyncness {
        // A future that was given up has no result.
        Some(_) => quote! {
            match #krate::__private::block_on(#call) {
                ::core::option::Option::Some(output) => output,
                ::core::option::Option::None => return #krate::__private::cancelled(),
            }
        },
        None => call,
    };
    let conditions: Vec<_> =
        function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect();
    let text = written(quote!(#signature));
    let (hash, block) = (hash(&text), &function.block);
    let source = self::hash(&written(quote!(#signature #block)));
    let mark = format!("chopsticks-function/1 {hash:016x} {source:016x} ");
    let documentation = format!("Returns an invocation of [`{ident}`](fn@{ident}) with these arguments.");
    Ok(quote! {
        #(#conditions)*
        #[doc(hidden)]
        #[allow(non_camel_case_types, clippy::exhaustive_enums)]
        #visibility enum #ident {}

        #(#conditions)*
        impl #ident {
            #[doc = #documentation]
            #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value, clippy::ptr_arg, dead_code)]
            #[allow(unreachable_pub)]
            #visibility fn with(#(#names: #types),*) -> #invocation {
                #krate::__private::#create(#name, #hash, &(#(#sent,)*), #krate::__private::#read)
            }
        }

        #(#conditions)*
        const _: () = {
            #krate::__private::submit! {
                #krate::__private::Entry {
                    name: #name,
                    signature: #hash,
                    text: #text,
                    mark: ::core::concat!(#mark, #name, "\n"),
                    is_process: #is_process,
                    body: #krate::__private::Body::#body(run),
                }
            }

            #[allow(clippy::let_unit_value)]
            fn run(arguments: &[u8] #sink) -> #krate::__private::Answer {
                let (#(#names,)*): (#(#owned,)*) = match #krate::__private::arguments(arguments) {
                    ::core::result::Result::Ok(arguments) => arguments,
                    ::core::result::Result::Err(answer) => return answer,
                };
                let output #annotation = #call;
                #finish
            }
        };
    })
}

/// Returns the names and types of the parameters of a function that can run on hosts.
fn parameters(signature: &Signature) -> Result<Vec<(Ident, &Type)>, Error> {
    let refuse = |span: Span, text: &str| Err(Error::new(span, text));
    match signature.generics.params.first() {
        Some(GenericParam::Lifetime(lifetime)) => {
            return refuse(lifetime.span(), "leave out the lifetime: arguments live for one call");
        }
        Some(parameter) => {
            return refuse(
                parameter.span(),
                "a generic function cannot run on hosts: write a function for each type",
            );
        }
        None => {}
    }
    if let Some(constness) = &signature.constness {
        return refuse(constness.span(), "a `const` function cannot run on hosts: leave out `const`");
    }
    if let Safety::Unsafe(token) = &signature.safety {
        return refuse(token.span(), "an `unsafe` function cannot run on hosts: wrap it in a safe one");
    }
    if let Some(abi) = &signature.abi {
        return refuse(abi.span(), "a function with another ABI cannot run on hosts: wrap it");
    }
    let mut parameters = Vec::new();
    for (number, input) in signature.inputs.iter().enumerate() {
        let FnArg::Typed(input) = input else {
            return refuse(input.span(), "a method cannot run on hosts: pass the value as an argument");
        };
        match bare(&input.ty) {
            Type::ImplTrait(ty) => {
                return refuse(ty.span(), "`impl` types cannot be sent: write the type of the values");
            }
            Type::Reference(reference) if reference.mutability.is_some() => {
                return refuse(
                    reference.span(),
                    "a function on a host cannot change a value here: return the new one",
                );
            }
            _ => {}
        }
        let name = match &*input.pat {
            Pat::Ident(pattern) => pattern.ident.clone(),
            _ => format_ident!("argument_{number}"),
        };
        parameters.push((name, &*input.ty));
    }
    if parameters.len() > MAX_PARAMETERS {
        return refuse(signature.inputs.span(), "at most 16 arguments can be sent: use a struct");
    }
    Ok(parameters)
}

/// Returns tokens as a text that does not depend on the compiler, nor on blanks and lines in the
/// source.
fn written(tokens: Tokens) -> String {
    let mut text = String::new();
    write(tokens, &mut text);
    // Nearly as a person would write it.
    let pretty = [(" (", "("), ("( ", "("), (" )", ")"), (" ,", ","), (" :", ":"), ("& ", "&"), (" < ", "<")];
    pretty.iter().fold(text.trim().to_owned(), |text, (from, to)| text.replace(from, to))
}

fn write(tokens: Tokens, text: &mut String) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("( ", ") "),
                    Delimiter::Bracket => ("[ ", "] "),
                    Delimiter::Brace => ("{ ", "} "),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write(group.stream(), text);
                text.push_str(close);
            }
            TokenTree::Punct(punct) => {
                text.push(punct.as_char());
                if punct.spacing() == Spacing::Alone {
                    text.push(' ');
                }
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => {
                text.push_str(&token.to_string());
                text.push(' ');
            }
        }
    }
}

/// FNV-1a: the same in every build of this crate.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What the tuples of serde have.
const MAX_PARAMETERS: usize = 16;
