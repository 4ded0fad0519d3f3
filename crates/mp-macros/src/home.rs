//! Where mp is, seen from the user's crate.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Ident, LitStr, Path, Token};

/// The argument `crate = "path"`, or nothing.
pub(crate) struct Home(pub(crate) Option<Path>);

impl Parse for Home {
    fn parse(input: ParseStream<'_>) -> syn::Result<Home> {
        if input.is_empty() {
            return Ok(Home(None));
        }
        if !input.peek(Token![crate]) {
            return Err(input.error("expected `crate = \"path::to::mp\"`"));
        }
        input.parse::<Token![crate]>()?;
        input.parse::<Token![=]>()?;
        let path = if input.peek(LitStr) {
            input.parse::<LitStr>()?.parse()?
        } else {
            input.call(Path::parse_mod_style)?
        };
        input.parse::<Option<Token![,]>>()?;
        if input.is_empty() { Ok(Home(Some(path))) } else { Err(input.error("nothing may follow the path")) }
    }
}

/// A crate that may be the user's way to mp: its package, and the name of its library.
struct Candidate {
    package: &'static str,
    library: &'static str,
}

const fn candidate(package: &'static str, library: &'static str) -> Candidate {
    Candidate { package, library }
}

/// The umbrella first: who has it writes its name.
const WITH_INIT: &[Candidate] =
    &[candidate("multiproc", "mp"), candidate("mp-pool", "mp_pool"), candidate("mp-process", "mp_process")];

/// The crate whose `__private::init` to call.
pub(crate) fn of_init(told: Option<Path>) -> TokenStream {
    told.map_or_else(|| find(WITH_INIT).unwrap_or_else(umbrella), Path::into_token_stream)
}

/// The crate that holds `Output` and `Failure`.
pub(crate) fn of_wire(told: Option<Path>) -> TokenStream {
    let outer = match told {
        Some(path) => path.into_token_stream(),
        None => match find(WITH_INIT) {
            Some(found) => found,
            None => return find(&[candidate("mp-wire", "mp_wire")]).unwrap_or_else(|| private(&umbrella())),
        },
    };
    private(&outer)
}

/// The crates that have a use for shared data, and `__private::mp_session`.
const WITH_SESSION: &[Candidate] =
    &[candidate("multiproc", "mp"), candidate("mp-shared", "mp_shared"), candidate("mp-sync", "mp_sync")];

/// The crate that holds `Shared`.
pub(crate) fn of_session(told: Option<Path>) -> TokenStream {
    let outer = match told {
        Some(path) => path.into_token_stream(),
        None => match find(WITH_SESSION) {
            Some(found) => found,
            None => {
                let alone = find(&[candidate("mp-session", "mp_session")]);
                return alone.unwrap_or_else(|| quote!(::mp::__private::mp_session));
            }
        },
    };
    quote!(#outer::__private::mp_session)
}

fn private(outer: &TokenStream) -> TokenStream {
    quote!(#outer::__private::mp_wire)
}

fn find(candidates: &[Candidate]) -> Option<TokenStream> {
    candidates.iter().find_map(|c| {
        let name = match crate_name(c.package).ok()? {
            // Its own tests, examples and documentation.
            FoundCrate::Itself => c.library.to_owned(),
            // Not renamed: then the library's own name counts, which need not be the package's.
            FoundCrate::Name(name) if name == c.package.replace('-', "_") => c.library.to_owned(),
            FoundCrate::Name(name) => name,
        };
        let name = Ident::new(&name, Span::call_site());
        Some(quote!(::#name))
    })
}

/// When nothing is known: the name that the documentation uses, which gives an understandable error if it is not there.
fn umbrella() -> TokenStream {
    quote!(::mp)
}
