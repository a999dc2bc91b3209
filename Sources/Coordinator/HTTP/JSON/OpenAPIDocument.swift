import Hummingbird

/// The description of the API as it is served: openapi.json, kept in the executable.
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
