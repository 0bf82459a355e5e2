/// Keys and certificates made with OpenSSL for these tests; the key is public and good for nothing else.
enum Fixtures {
    /// An RSA key in PKCS#8.
    static let rsa2048 = """
        -----BEGIN PRIVATE KEY-----
        MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC8EPqBnrkXOncT
        PziCJ/06DmMYjIyXPa09WzMB8ZBXYxTwvtmEfx1Jmd07RX0QM8Wo9FUakPphQSLl
        PwJx/WvN4zhZ2Np+s8bkO1ku6/TSxjSpS8wqmxZ3EqeFMSG4ZoRyP5MY6qMHWTJX
        +f3B4+PK3OXYRS0aZhb+aX5EIeh+15vxhCfshKRB0oIzvrvQ2puB+CObhvStLsO1
        4P5v8S9ceLO1oEpp2uj8+UG4joYeTl+gm+baMJCweUtASUWp6ii/dy3FSZ0yLdpe
        +i151/zxM8e+MB9sGoV/qZ+8ilSlHOcqPVlraS9EjI+8Jb5c6vs0Kiw3CnMcUsxB
        8Zfz5PIbAgMBAAECggEAJJm/TwunZPxlYTMMGdSThUF4irYLxIFl3kuJ9UZge4lW
        cXYLGiys8/6EXj0rVkRlIvkOOQHfIJ9PHcNyA+I4oVSnymCYQVFWk2Nze1zDhGO7
        qvkL7nzJVfok7Rh/QgZ9n0h9JbvAZ7U1xYZrGtlxozDzcHAiE4Gr1u6L+tGIkGqr
        CqsPEwdzmFz+tb6sjkhxSniP+DenZH+b71tVzQDy9dzh4a3hpBixIsoJazvl4IFZ
        LJzx3JO8TK5L2viHca1ibK2JZNiHF2OkfZEGHiIR8RJfu54rKT4r7W0/CM8sz1NC
        aJaTGCsUPnzphEjaJWKP6+zn/nnAgzg6xY3PhXeZUQKBgQDtpZKB3HIhKN68B7np
        P6Ss1746zJPyxpHzFY3kyZjHeP5EHsGgglXv639iz1nJ/O0yykz9hafKIJelSnpJ
        7XC8rOaoyccfjh6k2vKGPyD04O3w3c9CRAEkT+lxuekilw842Nyu+0f1PFnYeQNY
        lHZEKLvq8lBwoKAZhjDvdmh5KwKBgQDKlytZVAiLT3RE98aD2SgNLNVaaBdVmGT8
        4l+98nDaesyfh0yWiTUf20UZV99/6xUCxLQKm6pJh31cbvi2oF4pyR/Or9J/FnD6
        n0lX0u6q8yIGpX2zaPaK2kiOJqIqpghEWrDoSHH8So0ESsjAFEqUQE/mDn0nUyEF
        QEWhG78S0QKBgQCNHIrRR5gRbpZLqn7PLLZY18aiXYXgW96gLAVUfAyXLZY11tl8
        uMfUrc63Wo5jbSdfyFZNGAcY8594S7Avo6kUr8pLIX12lEpH86ac5nFoVwOSyfLe
        00imSjlBCXaQzogAZm0sDhOdYBetfbXp7EYJlPJ4wSfYqNhIL7FxD6tbfwKBgQCd
        Q4AZFcyUKBd/uj/V9erLX3Q3e/oxLd2nGSttThgg4Zaad/MSIGym0BXxuG7848Yp
        ofyJB5HHBnBgIpzbV94A3endDkt+8DK/uoq6rDktZxOQyUKs1NwdqZkNEBxusvhT
        53rQtfwV9uFE5bC0uouyTcI4OiMZNcS6SMxEZj+LIQKBgB4gHR7lzRcj1NbpBVPu
        iv75TnBUJbfjAE1M0utEz14tfL89kH8c0M4V1/KFyLSOf/mZ+uOG2GIH1FqQ8yYM
        TmM05AQk3RXPj8onp0dmHjsVEBRy1P1ro0KMqICpPpnGNvFULSiMVQD7QHPlF8Lw
        nuGQqis8Zb21jcklyfLk2ckU
        -----END PRIVATE KEY-----

        """

    /// Self-signed with that key by PSS: SHA-256, salt of 32 bytes.
    static let pssSHA256 = """
        -----BEGIN CERTIFICATE-----
        MIIDdTCCAimgAwIBAgIUONW4KscS8EgUoQwAXHOvHsO8Q5YwQQYJKoZIhvcNAQEK
        MDSgDzANBglghkgBZQMEAgEFAKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgEF
        AKIDAgEgMA4xDDAKBgNVBAMMA3BzczAeFw0yNjExMjMyMDExMDFaFw0zNjExMjAy
        MDExMDFaMA4xDDAKBgNVBAMMA3BzczCCASIwDQYJKoZIhvcNAQEBBQADggEPADCC
        AQoCggEBALwQ+oGeuRc6dxM/OIIn/ToOYxiMjJc9rT1bMwHxkFdjFPC+2YR/HUmZ
        3TtFfRAzxaj0VRqQ+mFBIuU/AnH9a83jOFnY2n6zxuQ7WS7r9NLGNKlLzCqbFncS
        p4UxIbhmhHI/kxjqowdZMlf5/cHj48rc5dhFLRpmFv5pfkQh6H7Xm/GEJ+yEpEHS
        gjO+u9Dam4H4I5uG9K0uw7Xg/m/xL1x4s7WgSmna6Pz5QbiOhh5OX6Cb5towkLB5
        S0BJRanqKL93LcVJnTIt2l76LXnX/PEzx74wH2wahX+pn7yKVKUc5yo9WWtpL0SM
        j7wlvlzq+zQqLDcKcxxSzEHxl/Pk8hsCAwEAAaNjMGEwHQYDVR0OBBYEFNeuegFM
        TleXP1HJfDlQoNo0zzWTMB8GA1UdIwQYMBaAFNeuegFMTleXP1HJfDlQoNo0zzWT
        MA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgIEMEEGCSqGSIb3DQEBCjA0
        oA8wDQYJYIZIAWUDBAIBBQChHDAaBgkqhkiG9w0BAQgwDQYJYIZIAWUDBAIBBQCi
        AwIBIAOCAQEAbpZDOxy+y7B1dMjBSA2/zmq1OnlhLlaLqkX53qfpmUf4Uf4ww9iA
        W13a7Y+b8wX6mc2TdhMrL44kMjDdfqh/JKZPcxL6rsdAT3MVr1gjre3/eqR8Gj8y
        nSwVaBOaCPCGMV4UVA1zY0J6OnriG4Be/AGwXlLYxIjEyj7opqs12a9V1yQUCmXv
        Cb/k131N5vWpvhTOGctm2MuUHw5Ooz2YE4h4JQKg3dro+rW9jj3oTQrgKSwnai02
        H6uwvcTAW8OLc87URNb6EeCEx07tkA9eFEZpBJlFQhUFQENZLlpRbwyA1aWIJzOA
        NxymA61ms10Ot7HY0qTMv2wZsf3EA7njXw==
        -----END CERTIFICATE-----

        """

    /// Self-signed with that key by PSS: SHA-512, salt of 64 bytes.
    static let pssSHA512 = """
        -----BEGIN CERTIFICATE-----
        MIIDZTCCAhmgAwIBAgIUF2BlpmC4q1nL4axM6B642quYImowQQYJKoZIhvcNAQEK
        MDSgDzANBglghkgBZQMEAgMFAKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgMF
        AKIDAgFAMA4xDDAKBgNVBAMMA3BzczAeFw0yNjExMjMyMDExMDFaFw0zNjExMjAy
        MDExMDFaMA4xDDAKBgNVBAMMA3BzczCCASIwDQYJKoZIhvcNAQEBBQADggEPADCC
        AQoCggEBALwQ+oGeuRc6dxM/OIIn/ToOYxiMjJc9rT1bMwHxkFdjFPC+2YR/HUmZ
        3TtFfRAzxaj0VRqQ+mFBIuU/AnH9a83jOFnY2n6zxuQ7WS7r9NLGNKlLzCqbFncS
        p4UxIbhmhHI/kxjqowdZMlf5/cHj48rc5dhFLRpmFv5pfkQh6H7Xm/GEJ+yEpEHS
        gjO+u9Dam4H4I5uG9K0uw7Xg/m/xL1x4s7WgSmna6Pz5QbiOhh5OX6Cb5towkLB5
        S0BJRanqKL93LcVJnTIt2l76LXnX/PEzx74wH2wahX+pn7yKVKUc5yo9WWtpL0SM
        j7wlvlzq+zQqLDcKcxxSzEHxl/Pk8hsCAwEAAaNTMFEwHQYDVR0OBBYEFNeuegFM
        TleXP1HJfDlQoNo0zzWTMB8GA1UdIwQYMBaAFNeuegFMTleXP1HJfDlQoNo0zzWT
        MA8GA1UdEwEB/wQFMAMBAf8wQQYJKoZIhvcNAQEKMDSgDzANBglghkgBZQMEAgMF
        AKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgMFAKIDAgFAA4IBAQAcjE4euKSR
        G26UJf3VrWgIfRZEG7GeX/a26fiPo82kHjz31/G3trMhb+mIfyxUrLX5oZjlJS+P
        V1K+9GIS8BDZ0mOGW222z/US+erLLqUPKgcenEzJD3DWxdXn88h+75rEiMtOlpTv
        7y8Seqval768qViYbgcMXGF7wgv3HZ02CiWfzIS2oZF/XV4ifdFhA47XLCVAFkMN
        /WAX6zQUOw+pyFiq57e0O/RXWahphXp6q2VsUwxyBrHMtDPuwMSgkYA+e8OPh/LZ
        1fE9UfQQdR/346WdDZWwSWXlKj6z2V2mn9mk/cEcd8+T2qJYjlNksW9dRPW6uTEA
        +hSnM1wSiNO0
        -----END CERTIFICATE-----

        """

    /// PSS with a salt of 20 bytes, which is not accepted.
    static let pssShortSalt = """
        -----BEGIN CERTIFICATE-----
        MIIDWzCCAhSgAwIBAgIUeDR0QhQuDPbaTvU3OB5WD0ZiYIAwPAYJKoZIhvcNAQEK
        MC+gDzANBglghkgBZQMEAgEFAKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgEF
        ADAOMQwwCgYDVQQDDANwc3MwHhcNMjYxMTIzMjAxMTAxWhcNMzYxMTIwMjAxMTAx
        WjAOMQwwCgYDVQQDDANwc3MwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIB
        AQC8EPqBnrkXOncTPziCJ/06DmMYjIyXPa09WzMB8ZBXYxTwvtmEfx1Jmd07RX0Q
        M8Wo9FUakPphQSLlPwJx/WvN4zhZ2Np+s8bkO1ku6/TSxjSpS8wqmxZ3EqeFMSG4
        ZoRyP5MY6qMHWTJX+f3B4+PK3OXYRS0aZhb+aX5EIeh+15vxhCfshKRB0oIzvrvQ
        2puB+CObhvStLsO14P5v8S9ceLO1oEpp2uj8+UG4joYeTl+gm+baMJCweUtASUWp
        6ii/dy3FSZ0yLdpe+i151/zxM8e+MB9sGoV/qZ+8ilSlHOcqPVlraS9EjI+8Jb5c
        6vs0Kiw3CnMcUsxB8Zfz5PIbAgMBAAGjUzBRMB0GA1UdDgQWBBTXrnoBTE5Xlz9R
        yXw5UKDaNM81kzAfBgNVHSMEGDAWgBTXrnoBTE5Xlz9RyXw5UKDaNM81kzAPBgNV
        HRMBAf8EBTADAQH/MDwGCSqGSIb3DQEBCjAvoA8wDQYJYIZIAWUDBAIBBQChHDAa
        BgkqhkiG9w0BAQgwDQYJYIZIAWUDBAIBBQADggEBAJcFOsfOmMZ764ScH5BW3INZ
        dMJrY1WjNpansQjdkiQx/055nbsLJeRmuWKlvm2IO9yMO7sfH+hFltxAYddOdNQY
        T7AGfXHEplJ74I5NqobfTt1kbioCMpVqfDazSKdLDCcC4OVqjuklVFfCO3KB+Zbs
        lee+JHN6paYm4DHVz6bB6zGZolhTQs/K5BksoEHFeA59i4el4XBf9Oyu0Of83QiA
        JH7trZ7ySqT2KeGCG/v/7VAAmt05lSqXnYzV5oCSZnqbcjibpWdwYYLVj022mkAc
        ONK0rbp8TR3I77cayiESwu6GRWi6CnK+z+N25u4+8LBl90C8XTVCLVzEIBm8s1E=
        -----END CERTIFICATE-----

        """

    /// Signed over SHA-1, which is not accepted.
    static let sha1 = """
        -----BEGIN CERTIFICATE-----
        MIIC/zCCAeegAwIBAgIUWvXb8JzNtFwVgVCPG7oR7mtgQqEwDQYJKoZIhvcNAQEF
        BQAwDzENMAsGA1UEAwwEc2hhMTAeFw0yNjExMjMyMDExMDFaFw0zNjExMjAyMDEx
        MDFaMA8xDTALBgNVBAMMBHNoYTEwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEK
        AoIBAQC8EPqBnrkXOncTPziCJ/06DmMYjIyXPa09WzMB8ZBXYxTwvtmEfx1Jmd07
        RX0QM8Wo9FUakPphQSLlPwJx/WvN4zhZ2Np+s8bkO1ku6/TSxjSpS8wqmxZ3EqeF
        MSG4ZoRyP5MY6qMHWTJX+f3B4+PK3OXYRS0aZhb+aX5EIeh+15vxhCfshKRB0oIz
        vrvQ2puB+CObhvStLsO14P5v8S9ceLO1oEpp2uj8+UG4joYeTl+gm+baMJCweUtA
        SUWp6ii/dy3FSZ0yLdpe+i151/zxM8e+MB9sGoV/qZ+8ilSlHOcqPVlraS9EjI+8
        Jb5c6vs0Kiw3CnMcUsxB8Zfz5PIbAgMBAAGjUzBRMB0GA1UdDgQWBBTXrnoBTE5X
        lz9RyXw5UKDaNM81kzAfBgNVHSMEGDAWgBTXrnoBTE5Xlz9RyXw5UKDaNM81kzAP
        BgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBBQUAA4IBAQCH/H2WPlaTe81wPxJG
        JXJ7VUWGaKBYFjSs6dCh0tjv3kDeqZXwexJ0yxj8vcxE327BG+xjDOyYwPhwt69C
        hHrx9WLnQHSvGsDe15ERTwZjhKxvIr7BmPKoY4CzgaLZzREIWMNO+F04Md5Rd2vU
        U1uGB+HeA9R6xnDeXyHeD0SzMO6QhW8jExwIoDibIyJkHlBLM1+nMd+YZvWzqr1y
        u0XmS9SBdtnqOU2z1u+kgOE2UvH4HEZu0pvIK9UUylxME9Jby6GoVJl5SQ84mqlU
        6zKjxd4J3DEs3PdnsEw6+GSXOFWXsjBUCWef7uT8HhqKfnPjRx9dPY2qXh4G7Sud
        Iw+a
        -----END CERTIFICATE-----

        """
}
