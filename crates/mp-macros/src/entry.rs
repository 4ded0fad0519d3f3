//! `#[mp::main]`.
//!
//! ```text
//! #[mp::main]                        fn main() -> X {
//! #[tokio::main]                         #[tokio::main]
//! async fn main() -> X { .. }   =>       async fn main() -> X { .. }
//!                                        ::mp::__private::init();
//!                                        main()
//!                                    }
//! ```
//!
//! The inner function keeps the attributes, save those that decide whether there is a `main` at all or document it.
//! When the runtime's attribute comes first it has made a synchronous `main` by the time we see it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, ItemFn, ReturnType, Visibility};

use crate::home::{self, Home};

pub(crate) fn expand(arguments: TokenStream, function: TokenStream) -> syn::Result<TokenStream> {
    let Home(told) = syn::parse2(arguments)?;
    let mut inner: ItemFn = syn::parse2(function)?;
    check(&inner)?;
    let home = home::of_init(told);
    let (outside, inside) =
        std::mem::take(&mut inner.attrs).into_iter().partition::<Vec<_>, _>(stays_outside);
    inner.attrs = inside;
    let visibility = std::mem::replace(&mut inner.vis, Visibility::Inherited);
    let name = &inner.sig.ident;
    let output = match &inner.sig.output {
        ReturnType::Default => quote!(),
        output => quote!(#output),
    };
    Ok(quote! {
        #(#outside)*
        #visibility fn #name() #output {
            #inner
            #home::__private::init();
            #name()
        }
    })
}

fn check(function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    if signature.ident != "main" {
        return Err(Error::new(signature.ident.span(), "this attribute belongs on `fn main`"));
    }
    if let Some(argument) = signature.inputs.first() {
        return Err(Error::new_spanned(argument, "`main` takes no arguments"));
    }
    if let Some(asyncness) = &signature.asyncness
        && !function.attrs.iter().any(is_of_a_runtime)
    {
        let message =
            "an `async fn main` needs a runtime: add its attribute, such as `#[tokio::main]`, below this one";
        return Err(Error::new_spanned(asyncness, message));
    }
    Ok(())
}

fn stays_outside(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") || attribute.path().is_ident("doc")
}

/// Whether it may make something synchronous of an `async fn`: anything that the language does not define itself.
fn is_of_a_runtime(attribute: &Attribute) -> bool {
    const OF_THE_LANGUAGE: [&str; 9] =
        ["allow", "cfg", "cfg_attr", "deny", "deprecated", "doc", "expect", "forbid", "warn"];
    !OF_THE_LANGUAGE.iter().any(|name| attribute.path().is_ident(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(function: TokenStream) -> String {
        expand(quote!(crate = "sub"), function).map_or_else(|e| e.to_string(), |tokens| tokens.to_string())
    }

    #[test]
    fn init_comes_before_the_body() {
        let expected = quote! {
            pub fn main() -> Result<(), E> {
                fn main() -> Result<(), E> { work() }
                sub::__private::init();
                main()
            }
        };
        assert_eq!(
            expanded(quote!(
                pub fn main() -> Result<(), E> {
                    work()
                }
            )),
            expected.to_string()
        );
    }

    #[test]
    fn the_runtime_s_attribute_goes_inside() {
        let expected = quote! {
            #[doc = "Serves."]
            #[cfg(unix)]
            fn main() {
                #[tokio::main(flavor = "current_thread")]
                #[allow(unused)]
                async fn main() { work().await }
                sub::__private::init();
                main()
            }
        };
        let function = quote! {
            #[doc = "Serves."]
            #[tokio::main(flavor = "current_thread")]
            #[cfg(unix)]
            #[allow(unused)]
            async fn main() { work().await }
        };
        assert_eq!(expanded(function), expected.to_string());
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        assert!(
            expanded(quote!(
                fn start() {}
            ))
            .contains("belongs on `fn main`")
        );
        assert!(
            expanded(quote!(
                fn main(n: u32) {}
            ))
            .contains("no arguments")
        );
        assert!(
            expanded(quote!(
                #[allow(unused)]
                async fn main() {}
            ))
            .contains("needs a runtime")
        );
        let wrong = expand(
            quote!(path = "sub"),
            quote!(
                fn main() {}
            ),
        )
        .unwrap_err();
        assert!(wrong.to_string().contains("expected `crate"));
    }
}
