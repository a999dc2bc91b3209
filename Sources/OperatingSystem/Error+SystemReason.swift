import Foundation

/// What an error number means, in the operating system's words.
public func reasonOfSystem(_ number: Int32) -> String { String(cString: strerror(number)) }

extension Error {
    /// What went wrong in the operating system's words ("No space left on device"), where Foundation would give a
    /// domain and a number.
    public var systemReason: String {
        var error = self as NSError
        // Foundation wraps the system's error.
        while let inner = error.userInfo[NSUnderlyingErrorKey] as? any Error { error = inner as NSError }
        if error.domain == NSPOSIXErrorDomain { return reasonOfSystem(Int32(error.code)) }
        if let code = CocoaError.Code(rawValue: error.code).systemReason, error.domain == NSCocoaErrorDomain {
            return code
        }
        return self is CocoaError ? error.localizedDescription : "\(self)"
    }

    /// ``systemReason`` with the path of the file, for Foundation's errors; nil for all others.
    public var systemMessage: String? {
        guard self is CocoaError || self is POSIXError else { return nil }
        let path = (self as NSError).userInfo[NSFilePathErrorKey] as? String
        return (path.map { "\($0): " } ?? "") + systemReason
    }
}

extension CocoaError.Code {
    /// For errors of Foundation without an underlying system error.
    fileprivate var systemReason: String? {
        switch self {
        case .fileNoSuchFile, .fileReadNoSuchFile: reasonOfSystem(ENOENT)
        case .fileReadNoPermission, .fileWriteNoPermission: reasonOfSystem(EACCES)
        case .fileWriteOutOfSpace: reasonOfSystem(ENOSPC)
        case .fileWriteVolumeReadOnly: reasonOfSystem(EROFS)
        case .fileWriteFileExists: reasonOfSystem(EEXIST)
        case .fileReadInvalidFileName, .fileWriteInvalidFileName: reasonOfSystem(ENAMETOOLONG)
        case .fileReadTooLarge: reasonOfSystem(EFBIG)
        case .fileReadInapplicableStringEncoding, .fileReadCorruptFile: "it is not UTF-8 text"
        case .fileReadUnknown, .fileWriteUnknown: "the system gave no reason"
        default: nil
        }
    }
}
