//! The unwinder of a program that never unwinds.
//!
//! A panic of the released program leaves one line and ends it (`log/panic.rs`). Yet std comes with
//! a handler that walks the stack, reads debugging information and prints a backtrace, and with an
//! unwinder below it: an eighth of the file for something that this file, without tables and
//! without symbols, could not do. All of it is there for a function that is called on each frame.
//! With the functions here in place of the unwinder's, nothing ever calls that one, and the
//! compiler leaves out what nothing calls.
//!
//! The names are those of the Itanium C++ ABI's exception handling, level I, and of GCC's additions
//! to it. One that is missing here but used by a later std brings the real unwinder in, and the
//! linker then refuses to link the two together.

use std::ffi::{c_int, c_void};
use std::process::abort;

const END_OF_STACK: c_int = 5;

/// A walk over a stack without frames.
#[expect(unsafe_code, reason = "it is exported under the unwinder's own name")]
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_on_frame: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

/// What only an unwinding that is under way calls.
macro_rules! unreached {
    ($($name:ident)*) => {$(
        #[expect(unsafe_code, reason = "it is exported under the unwinder's own name")]
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> ! {
            abort()
        }
    )*};
}

unreached! {
    _Unwind_GetDataRelBase
    _Unwind_GetIPInfo
    _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart
    _Unwind_GetTextRelBase
    _Unwind_Resume
    _Unwind_SetGR
    _Unwind_SetIP
}
