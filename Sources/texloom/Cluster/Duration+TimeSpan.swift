extension Duration {
    /// "90s", "30m", "2h", "1d": a whole number from 1 and its unit. At most 10 years.
    init?(timeSpan text: String) {
        let seconds: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = text.last.flatMap({ seconds[$0] }), text.dropLast().allSatisfy({ $0.isASCII && $0.isNumber }),
            let number = Int(text.dropLast()), number >= 1
        else { return nil }
        let (product, overflows) = number.multipliedReportingOverflow(by: unit)
        guard !overflows, product <= 3650 * 86_400 else { return nil }
        self = .seconds(product)
    }
}
