#pragma once

// A Swift closure for as long as the function that was handed it runs.
//
// Swift keeps a closure that does not escape on the caller's stack, and only lets it be called or handed on: to let
// other threads call it, it would have to be copied to the heap, hundreds of times a training step. Here it is taken
// apart into its two words and put together again, by the calling convention that clang documents as `swiftcall`.

/// A closure `(Int, Int) -> Void`.
struct texloom_borrowed_closure {
    const void *function;
    const void *context;
};

/// What may be done with a closure while it is alive.
typedef void (*texloom_closure_user)(struct texloom_borrowed_closure closure, void *argument);

static inline void texloom_call_closure(struct texloom_borrowed_closure closure, long first, long second) {
    typedef __attribute__((swiftcall)) void (*function)(long, long, __attribute__((swift_context)) const void *);
    ((function)closure.function)(first, second, closure.context);
}
