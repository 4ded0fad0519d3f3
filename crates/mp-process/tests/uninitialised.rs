//! A program that never called `init`.

#[test]
fn starting_a_process_is_an_error_that_says_what_to_do() {
    let error = mp_process::Process::spawn(|| (), ()).unwrap_err();
    assert!(matches!(error, mp_process::Error::NotInitialised { .. }));
    assert!(error.to_string().contains("mp::main"), "{error}");
}
