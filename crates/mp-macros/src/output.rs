//! `#[derive(mp::Output)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, parse_quote};

use crate::home::{self, Home};

pub(crate) fn expand(item: TokenStream) -> syn::Result<TokenStream> {
    let DeriveInput { attrs, ident, mut generics, .. } = syn::parse2(item)?;
    let mut told = None;
    for attribute in attrs.iter().filter(|a| a.path().is_ident("output")) {
        let Home(path) = attribute.parse_args()?;
        if told.is_some() {
            return Err(Error::new_spanned(attribute, "said twice"));
        }
        told = path;
    }
    let wire = home::of_wire(told);
    if generics.type_params().next().is_some() {
        let (_, types, _) = generics.split_for_impl();
        let travels = parse_quote!(#ident #types: #wire::Message);
        generics.make_where_clause().predicates.push(travels);
    }
    let (parameters, types, bounds) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #parameters #wire::Output for #ident #types #bounds {
            type Value = Self;

            fn into_result(self) -> ::core::result::Result<Self, #wire::Failure> {
                ::core::result::Result::Ok(self)
            }
        }
    })
}
