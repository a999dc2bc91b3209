import Foundation
import HTTPTypes
import Hummingbird

/// The shell of every page: no script, nothing from another host, light and dark, reloading itself.
enum PageFrame {
    static let refreshSeconds = 5

    static func response(title: String, status: HTTPResponse.Status = .ok, _ content: (inout HTML) -> Void) -> Response
    {
        var page = HTML()
        page.raw("<!doctype html>")
        page.element("html", ["lang": "en"]) { html in
            html.element("head") { head in
                head.void("meta", ["charset": "utf-8"])
                head.void("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"])
                head.void("meta", ["name": "color-scheme", "content": "light dark"])
                head.void("meta", ["http-equiv": "refresh", "content": "\(refreshSeconds)"])
                head.element("title", "\(title) · texloom")
                head.void("link", ["rel": "stylesheet", "href": "/style.css"])
                head.void("link", ["rel": "icon", "href": "data:,"])
            }
            html.element("body") { body in
                body.element("header") { header in
                    header.element("a", ["href": "/", "class": "brand"], "texloom")
                }
                body.element("main", content)
            }
        }
        return Response(
            status: status,
            headers: [
                .contentType: "text/html; charset=utf-8", .cacheControl: "no-store",
                .contentSecurityPolicy:
                    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
                    + "form-action 'none'; frame-ancestors 'none'",
                .xContentTypeOptions: "nosniff", HTTPField.Name("Referrer-Policy")!: "no-referrer",
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(string: page.markup)))
    }

    static func styleResponse() -> Response {
        Response(
            status: .ok,
            headers: [
                .contentType: "text/css; charset=utf-8", .cacheControl: "max-age=300", .xContentTypeOptions: "nosniff",
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(string: style)))
    }

    private static let style = """
        :root { --ink: #1c2024; --dim: #5f6b76; --paper: #fbfbfa; --card: #fff; --line: #dfe3e6; --accent: #0b6e6e;
          --good: #1a7f37; --bad: #b42318; --warn: #9a6700; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --dim: #98a3ad; --paper: #14171a; --card: #1d2125;
          --line: #343b41; --accent: #4cc2c2; --good: #57c475; --bad: #ff8a80; --warn: #e3b341; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
        header { padding: .8rem 1.2rem; border-bottom: 1px solid var(--line); }
        .brand { font-weight: 700; color: var(--accent); text-decoration: none; }
        main { padding: 1rem 1.2rem 3rem; max-width: 88rem; margin: auto; }
        h1 { font-size: 1.4rem; margin: .4rem 0; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
        a { color: var(--accent); } .dim { color: var(--dim); }
        .counts { display: flex; flex-wrap: wrap; gap: .6rem; padding: 0; margin: .6rem 0; list-style: none; }
        .counts li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .4rem .9rem; }
        .counts b { font-size: 1.25rem; display: block; font-variant-numeric: tabular-nums; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; width: 100%; background: var(--card); border: 1px solid var(--line); }
        th, td { text-align: left; padding: .45rem .6rem; border-top: 1px solid var(--line); vertical-align: middle; }
        th { font-size: .8rem; color: var(--dim); font-weight: 600; } td { font-variant-numeric: tabular-nums; }
        progress { width: 9rem; accent-color: var(--accent); vertical-align: middle; }
        .state { font-weight: 600; } .state.finished { color: var(--good); }
        .state.failed, .state.held { color: var(--bad); } .state.running { color: var(--accent); }
        .state.cancelled { color: var(--dim); } .state.queued { color: var(--warn); }
        .thumb { width: 64px; height: 64px; object-fit: cover; border-radius: .3rem; background: var(--line); display: block; }
        .pictures { display: flex; gap: 1rem; flex-wrap: wrap; align-items: flex-end; }
        figure { margin: 0; } figcaption { font-size: .8rem; color: var(--dim); }
        .pictures img { max-width: min(100%, 30rem); max-height: 30rem; border: 1px solid var(--line); }
        .strip { display: flex; gap: .5rem; overflow-x: auto; padding-bottom: .5rem; }
        .strip img { width: 96px; height: 96px; object-fit: cover; border-radius: .3rem; background: var(--line); }
        pre { background: var(--card); border: 1px solid var(--line); padding: .7rem; overflow-x: auto; font-size: .82rem; }
        .reason { color: var(--dim); max-width: 32rem; overflow-wrap: anywhere; }
        """
}

/// Numbers as people read them.
enum Readable {
    static func duration(_ seconds: Double) -> String {
        let total = Int(min(max(seconds, 0), 1e9).rounded())
        if total < 60 { return "\(total) s" }
        if total < 3600 { return "\(total / 60) min \(total % 60) s" }
        if total < 86_400 { return "\(total / 3600) h \(total % 3600 / 60) min" }
        return "\(total / 86_400) d \(total % 86_400 / 3600) h"
    }

    static func bytes(_ count: Int) -> String {
        var value = Double(count)
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024 || unit == "GiB" {
                return unit == "B" ? "\(count) B" : String(format: "%.1f %@", value, unit)
            }
            value /= 1024
        }
        return "\(count) B"
    }

    static func time(_ date: Date) -> String {
        date.formatted(.iso8601.dateSeparator(.dash).dateTimeSeparator(.space).timeSeparator(.colon))
    }

    /// Four significant digits.
    static func loss(_ value: Float) -> String { String(format: "%.4g", Double(value)) }
}
