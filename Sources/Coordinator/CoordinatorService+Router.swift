import Hummingbird
import Transport

/// What the parts of a running coordinator share.
struct CoordinatorParts: Sendable {
    let folder: DataFolder
    let artifacts: ArtifactStore
    let disk: BlockingWork
    let reader: ClusterReader
    let feed: EventFeed
    /// nil if the workers' address is plain.
    var keys: WorkerKeys?
    /// nil only in tests of the routes.
    var socket: RouterSocket?
    let quota = StorageQuota()

    var store: JobStore { reader.store }
    var engine: ClusterEngine { reader.engine }
}

extension CoordinatorService {
    /// The routes of the API and the pages, with what every request passes first.
    func router(_ parts: CoordinatorParts) throws -> Router<CallerContext> {
        let (reader, artifacts, disk, folder) = (parts.reader, parts.artifacts, parts.disk, parts.folder)
        let pictures = Pictures()
        let commands = ClusterCommands(engine: reader.engine, reader: reader)
        let router = Router(context: CallerContext.self, options: .autoGenerateHeadEndpoints)
        let access = HTTPAccess(configuration, coordinatorID: reader.store.coordinatorID)
        let tokens = TokenStore(pool: reader.store.pool)
        let metrics = reader.engine.metrics
        let times = RecipeTimes(configuration, reader: reader, work: disk)
        let thumbnails = try ThumbnailCache(
            folder: folder.thumbnails, store: artifacts, disk: disk, pictures: pictures)
        let pages = try DashboardRoutes(
            reader: reader, thumbnails: thumbnails, times: times, insecurity: configuration.insecurity,
            invitesWorkers: parts.keys != nil, advertised: configuration.advertisedEndpoints)
        let problems = ProblemMiddleware(renderer: pages.renderer)
        router.add(middleware: RequestMetricsMiddleware(metrics: metrics, now: { reader.engine.now }))
        router.add(middleware: AnswerHeadersMiddleware(insecurity: configuration.insecurity))
        router.add(middleware: problems)
        router.add(middleware: SameSiteMiddleware(access: access))
        router.add(middleware: AuthenticationMiddleware(tokens: tokens, access: access))
        // Once more where the caller is known: pages about problems then have the menu.
        router.add(middleware: problems)
        router.add(middleware: PathParametersMiddleware())
        let audit = AuditLog(dataFolder: folder.url, logger: logger)
        router.add(middleware: AuditMiddleware(log: audit, disk: disk))
        router.add(middleware: AuthorizationMiddleware())
        HealthRoutes(store: reader.store, engine: reader.engine, folder: folder).add(to: router)
        APIRoutes(
            configuration: configuration, commands: commands, reader: reader, times: times,
            exemplars: ExemplarIntake(
                store: artifacts, disk: disk, pictures: pictures, maxBytes: configuration.maxExemplarBytes,
                metrics: metrics, quota: ExemplarQuota(store: reader.store, artifacts: artifacts, disk: disk)),
            artifacts: ArtifactResponder(store: artifacts, jobs: reader.store, disk: disk, metrics: metrics),
            bodies: BodyBudget(
                all: configuration.httpLimits.jsonBytes, perCaller: configuration.httpLimits.jsonBytesPerCaller),
            quota: parts.quota, randomSalt: { UInt32.random(in: 0...UInt32.max) }
        ).add(to: router)
        TokenRoutes(tokens: tokens).add(to: router)
        InvitationRoutes(
            keys: parts.keys, reader: reader, commands: commands, advertised: configuration.advertisedEndpoints,
            socket: parts.socket
        ).add(to: router)
        EventRoutes(feed: parts.feed, reader: reader).add(to: router)
        pages.add(to: router)
        LoginRoutes(tokens: tokens, access: access, renderer: pages.renderer).add(to: router)
        AuditRoutes(log: audit, disk: disk, renderer: pages.renderer).add(to: router)
        DashboardActions(commands: commands, renderer: pages.renderer).add(to: router)
        return router
    }
}
