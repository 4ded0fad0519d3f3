//! Use under `cargo test` and nextest.

/// Makes the tests of this file able to start processes: put it once at the top of the test file (for unit tests, of the
/// crate's root, behind `#[cfg(test)]`).
///
/// A child of a test runs the test program again, whose `main` belongs to the test harness. So this hooks in before `main`: in a
/// child the harness never begins.
///
/// ```no_run
/// mp_process::enable_in_tests!();
///
/// #[test]
/// fn two_and_two() {
///     let child = mp_process::Process::spawn(|a: u8, b: u8| a + b, (2, 2)).unwrap();
///     assert_eq!(child.join().unwrap(), 4);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! enable_in_tests {
    () => {
        #[allow(
            unsafe_code,
            reason = "a section of the image where functions to be called before main are listed"
        )]
        const _: () = {
            extern "C" fn before_main() {
                $crate::__private::init();
            }

            #[used]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
            #[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
            #[cfg_attr(not(any(windows, target_vendor = "apple")), unsafe(link_section = ".init_array"))]
            static BEFORE_MAIN: extern "C" fn() = before_main;
        };
    };
}
