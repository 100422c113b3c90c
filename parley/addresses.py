"""Which addresses a server may be sent to by a stranger (SSRF): pure, tables and one question."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        # IPv4: https://www.iana.org/assignments/iana-ipv4-special-registry and the groups that are no single host.
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # IPv6: https://www.iana.org/assignments/iana-ipv6-special-registry, within what is global unicast at all.
        *("2001::/23", "2001:db8::/32", "3fff::/20"),
    )
)
"""Written out, because what `ipaddress` calls private, global and reserved differs from one Python to the next."""
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All else of IPv6 is loopback, local, multicast or not given out."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052; carries an IPv4 address in its last 32 bits."""
_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        *(
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "fd00:ec2::254",
            "fd00:ec2::23",
        ),  # AWS, and most others
        *("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd20:ce::254"),  # Alibaba, Azure, Oracle, Google
    )
)
"""Where clouds hand credentials to their machines. No setting opens these; Azure's looks like a public address."""


def refusal(address: Address, allowed: tuple[Network, ...] = ()) -> str | None:
    """What `address` is, where it may not be connected to, as a part of a sentence; None where it may.

    `allowed` are networks that may be reached although they are not public.
    """
    target = embedded_ipv4(address) or address
    if target in _METADATA:
        return "a cloud's metadata service"
    if any(candidate in network for network in allowed for candidate in {address, target}):
        return None
    if any(target in network for network in _SPECIAL):
        return "an address that is not public"
    if isinstance(target, ipaddress.IPv6Address) and target not in _GLOBAL_UNICAST:
        return "an address that is not public"
    return None


def embedded_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that packets to an IPv6 address end at: IPv4-mapped, NAT64 (RFC 6052) or 6to4 (RFC 3056)."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
