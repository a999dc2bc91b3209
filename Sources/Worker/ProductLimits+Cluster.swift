import ClusterCore
import TextureGAN

extension ProductLimits {
    /// Those of a job of the cluster.
    public static let cluster = ProductLimits(
        fileBytes: Limits.maxStoredBytes, pictures: Limits.maxPicturesOfJob, bytes: Limits.maxPictureBytesOfJob)
}
