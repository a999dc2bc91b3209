import Foundation
import NIOCore
import NIOSSL
import OperatingSystem
import Synchronization

/// The certificate of the HTTP address. New connections use the newest one that was read.
final class ServerCertificate: Sendable {
    private struct Loaded: Sendable {
        var chain: [NIOSSLCertificateSource]
        var key: NIOSSLPrivateKeySource
    }

    private let files: TLSFiles
    private let current: Mutex<Loaded>

    /// - Throws: `CoordinatorError.badConfiguration` if the files are no certificate and its key.
    init(_ files: TLSFiles) throws {
        self.files = files
        current = Mutex(try Self.read(files))
    }

    /// Reads the files again. If they are unusable, the present certificate stays.
    func reload() throws {
        let fresh = try Self.read(files)
        current.withLock { $0 = fresh }
    }

    /// TLS 1.2 or newer, for a server that asks for the certificate at each handshake.
    var configuration: TLSConfiguration {
        let loaded = current.withLock { $0 }
        var configuration = Self.configuration(loaded)
        configuration.sslContextCallback = { [self] _, promise in
            let loaded = current.withLock { $0 }
            var override = NIOSSLContextConfigurationOverride()
            override.certificateChain = loaded.chain
            override.privateKey = loaded.key
            promise.succeed(override)
        }
        return configuration
    }

    private static func configuration(_ loaded: Loaded) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: loaded.chain, privateKey: loaded.key)
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        return configuration
    }

    private static func read(_ files: TLSFiles) throws -> Loaded {
        func fail(_ problem: String) -> CoordinatorError { CoordinatorError(.badConfiguration, problem) }
        for file in [files.certificate, files.key] where access(file.path, R_OK) != 0 {
            throw fail("\(file.path) cannot be read: \(reasonOfSystem(errno))")
        }
        let chain: [NIOSSLCertificate]
        do {
            chain = try NIOSSLCertificate.fromPEMFile(files.certificate.path)
            guard !chain.isEmpty else { throw NIOSSLError.failedToLoadCertificate }
        } catch {
            throw fail("\(files.certificate.path) holds no certificate; expected PEM, the server's certificate first")
        }
        let key: NIOSSLPrivateKey
        do {
            key = try NIOSSLPrivateKey(file: files.key.path, format: .pem)
        } catch {
            throw fail("\(files.key.path) holds no private key; expected PEM without a password")
        }
        let loaded = Loaded(chain: chain.map { .certificate($0) }, key: .privateKey(key))
        do {
            _ = try NIOSSLContext(configuration: configuration(loaded))
        } catch {
            throw fail("the key in \(files.key.path) does not belong to the certificate in \(files.certificate.path)")
        }
        return loaded
    }
}
