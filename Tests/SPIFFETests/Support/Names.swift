import SPIFFE

// Both SPIFFE and X509 have types of these names; in these tests the bare name is ours.
typealias CertificateError = SPIFFE.CertificateError
typealias CertificateSigningRequest = SPIFFE.CertificateSigningRequest
typealias KeyUsage = SPIFFE.KeyUsage
typealias BasicConstraints = SPIFFE.BasicConstraints
