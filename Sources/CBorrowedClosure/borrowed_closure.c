#include "borrowed_closure.h"

// Declared in Swift as a function of a closure that does not escape, which arrives as two words.
__attribute__((swiftcall)) void texloom_lend_closure(
    const void *function, const void *context, texloom_closure_user user, void *argument) {
    user((struct texloom_borrowed_closure){function, context}, argument);
}
