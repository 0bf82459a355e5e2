public import JOSE
public import SPIFFE

/// Any JSON value: metadata, structured data, parameters of extensions.
public typealias JSONValue = JOSE.JSONValue

/// A JSON object, in the order of its members.
public typealias JSONObject = JOSE.JSONObject

/// A moment in milliseconds since 1970.
public typealias UnixTime = SPIFFE.UnixTime
