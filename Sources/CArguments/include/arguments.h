#pragma once

// The arguments of the process, program name first, with a null pointer at the end.
//
// Swift's own `CommandLine` is empty in an executable that contains the Swift runtime: the runtime looks for the arguments
// in front of the environment, and COpenBLAS has already moved the environment by then (setenv before main).
char **texloom_arguments(void);
