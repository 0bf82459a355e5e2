public import SPIFFE

/// Who an agent is: `spiffe://trust-domain/path`.
public typealias SPIFFEID = SPIFFE.SPIFFEID

/// The name of a SPIFFE trust domain.
public typealias TrustDomain = SPIFFE.TrustDomain
