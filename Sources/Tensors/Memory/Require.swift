/// Ends the process with a message unless `condition` holds, in every build.
///
/// This module is compiled with -Ounchecked, where `precondition` and `assert` check nothing: the optimiser takes their
/// conditions for granted. Kernels call this once for each call or block, never for each element.
@inlinable
@inline(__always)
package func require(
    _ condition: Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) {
    if !condition { fatalError(message(), file: file, line: line) }
}
