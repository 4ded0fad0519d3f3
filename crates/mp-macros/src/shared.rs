//! `#[derive(mp::Shared)]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::punctuated::Punctuated;
use syn::{Attribute, Data, DeriveInput, Error, Index, Member, Meta, Token, parse_quote};

use crate::home::{self, Home};

pub(crate) fn expand(item: TokenStream) -> syn::Result<TokenStream> {
    let DeriveInput { attrs, ident, mut generics, data, .. } = syn::parse2(item)?;
    let session = home::of_session(told(&attrs)?);
    let fields = match data {
        Data::Struct(data) => data.fields,
        Data::Enum(data) => {
            let message =
                "not every byte is a value of an enum: keep its number, in a `Coded<E>` of mp_shared";
            return Err(Error::new_spanned(data.enum_token, message));
        }
        Data::Union(data) => {
            return Err(Error::new_spanned(
                data.union_token,
                "a union does not say which of its fields is there",
            ));
        }
    };
    check_representation(&ident, &attrs)?;

    let places: Vec<(Member, &syn::Type)> = fields
        .iter()
        .enumerate()
        .map(|(i, field)| {
            (field.ident.clone().map_or(Member::Unnamed(Index::from(i)), Member::Named), &field.ty)
        })
        .collect();
    let layouts = places.iter().map(|(member, ty)| {
        let name = member.to_token_stream().to_string();
        quote! {
            let hash = #session::__private::layout::field(
                hash,
                #name,
                ::core::mem::offset_of!(Self, #member),
                <#ty as #session::Shared>::LAYOUT,
            );
        }
    });
    let is_generic = generics.type_params().next().is_some();
    for (_, ty) in &places {
        // Without parameters the compiler checks it at once, and says which field it is.
        generics.make_where_clause().predicates.push(parse_quote!(#ty: #session::Shared));
    }
    if is_generic {
        let (_, types, _) = generics.split_for_impl();
        let everywhere = parse_quote!(#ident #types: ::core::marker::Send + ::core::marker::Sync + 'static);
        generics.make_where_clause().predicates.push(everywhere);
    }
    let check_now =
        (generics.params.is_empty()).then(|| quote!(const _: u64 = <#ident as #session::Shared>::LAYOUT;));
    let (parameters, types, bounds) = generics.split_for_impl();
    Ok(quote! {
        // SAFETY: each field is `Shared` by the bounds, they lie as they are written down (`repr` was checked), and the constant,
        // which every use of the type in shared memory computes, refuses drop glue.
        #[automatically_derived]
        unsafe impl #parameters #session::Shared for #ident #types #bounds {
            const LAYOUT: u64 = {
                assert!(
                    !::core::mem::needs_drop::<Self>(),
                    "values in shared memory are never dropped, so the type may not implement `Drop`"
                );
                let hash = #session::__private::layout::opaque(
                    ::core::mem::size_of::<Self>(),
                    ::core::mem::align_of::<Self>(),
                );
                #(#layouts)*
                hash
            };
        }
        #check_now
    })
}

fn told(attrs: &[Attribute]) -> syn::Result<Option<syn::Path>> {
    let mut told = None;
    for attribute in attrs.iter().filter(|a| a.path().is_ident("shared")) {
        let Home(path) = attribute.parse_args()?;
        if told.is_some() {
            return Err(Error::new_spanned(attribute, "said twice"));
        }
        told = path;
    }
    Ok(told)
}

/// `repr(C)` or `repr(transparent)`, and not `packed`.
fn check_representation(ident: &syn::Ident, attrs: &[Attribute]) -> syn::Result<()> {
    let mut is_fixed = false;
    for attribute in attrs.iter().filter(|a| a.path().is_ident("repr")) {
        for said in attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)? {
            is_fixed |= said.path().is_ident("C") || said.path().is_ident("transparent");
            if said.path().is_ident("packed") {
                return Err(Error::new_spanned(said, "fields of a packed structure cannot be referred to"));
            }
        }
    }
    let message = "write `#[repr(C)]` above it, so that its fields lie where they are written down";
    if is_fixed { Ok(()) } else { Err(Error::new_spanned(ident, message)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(item: TokenStream) -> String {
        expand(item).map_or_else(|e| e.to_string(), |tokens| tokens.to_string())
    }

    #[test]
    fn what_cannot_be_is_said() {
        assert!(
            refusal(quote!(
                struct P {
                    x: u8,
                }
            ))
            .contains("#[repr(C)]")
        );
        assert!(
            refusal(quote!(
                #[repr(C, packed)]
                struct P {
                    x: u8,
                }
            ))
            .contains("packed")
        );
        assert!(
            refusal(quote!(
                #[repr(u8)]
                enum E {
                    A,
                }
            ))
            .contains("Coded")
        );
        assert!(refusal(quote!(#[repr(C)] union U { a: u8 })).contains("which of its fields"));
        assert!(
            refusal(quote!(
                #[shared(crate = "a")]
                #[shared(crate = "b")]
                #[repr(C)]
                struct P;
            ))
            .contains("said twice")
        );
    }

    #[test]
    fn fields_count_by_name_and_place() {
        let tokens = refusal(quote!(
            #[repr(C)]
            #[shared(crate = "m")]
            struct P(u8, pub u16);
        ));
        assert!(tokens.contains("offset_of ! (Self , 1)"), "{tokens}");
        assert!(tokens.contains("m :: __private :: mp_session :: Shared"), "{tokens}");
    }
}
