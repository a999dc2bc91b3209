import Hummingbird

/// Serves the API's description: openapi.json, embedded in the executable.
enum OpenAPIDocument {
    static let bytes = PackageResources.openapi_json

    static var response: Response {
        Response(
            status: .ok,
            headers: [
                .contentType: "application/json", .cacheControl: "no-cache", .xContentTypeOptions: "nosniff",
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
