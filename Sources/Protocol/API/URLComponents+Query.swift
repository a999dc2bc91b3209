import Foundation

extension URLComponents {
    /// Replaces the query by the items that have a value; without any, there is none.
    public mutating func setQuery(_ items: [URLQueryItem]) {
        let given = items.filter { $0.value != nil }
        queryItems = given.isEmpty ? nil : given
        // URLComponents leaves a plus as it is, and the coordinator reads that as a space, as in forms.
        percentEncodedQuery = percentEncodedQuery?.replacing("+", with: "%2B")
    }
}
