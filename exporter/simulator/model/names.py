"""The words that the simulated world is made of; all of them made up, or names of countries and programs."""

ORGANIZATIONS = (("acme", "Acme"), ("globex", "Globex"), ("initech", "Initech"), ("umbrella", "Umbrella"))

API_NAMES = (
    "Orders", "Payments", "Catalogue", "Inventory", "Customers", "Shipping", "Pricing", "Reviews",
    "Invoices", "Search", "Notifications", "Loyalty", "Returns", "Suppliers", "Warehouses", "Reports",
)  # fmt: skip

APPLICATION_NAMES = (
    "Web Shop", "Mobile App", "Partner Portal", "Back Office", "Reporting", "Chat Bot", "Kiosk", "Data Export",
)  # fmt: skip

RESOURCES = (
    ("/{kind}", "GET", 40), ("/{kind}/{id}", "GET", 30), ("/{kind}", "POST", 14), ("/{kind}/{id}", "PUT", 8),
    ("/{kind}/{id}/items", "GET", 6), ("/{kind}/{id}", "DELETE", 2),
)  # fmt: skip

# user agent, platform, weight: eleven user agents and ten platforms, so that both have a rest under "Other".
DEVICES = (
    ("Chrome", "Windows", 18), ("Chrome", "Android", 14), ("Safari", "iOS", 13), ("Safari", "macOS", 7),
    ("Firefox", "Windows", 5), ("Firefox", "Linux", 4), ("Edge", "Windows", 6), ("Opera", "Windows", 2),
    ("Samsung Internet", "Android", 4), ("okhttp", "Android", 6), ("python-requests", "Linux", 5),
    ("Go-http-client", "Linux", 5), ("curl", "Linux", 3), ("Apache-HttpClient", "Linux", 3),
    ("PostmanRuntime", "macOS", 2), ("Chrome", "ChromeOS", 2), ("axios", "FreeBSD", 1), ("Dart", "Fuchsia", 1),
    ("Silk", "Fire OS", 1), ("Chrome", "Tizen", 1), ("Safari", "watchOS", 1), ("curl", "Solaris", 1),
)  # fmt: skip

COUNTRIES = (
    ("Sri Lanka", 22), ("United States", 18), ("Germany", 11), ("India", 10), ("United Kingdom", 9), ("Brazil", 6),
    ("Japan", 5), ("Australia", 5), ("France", 4), ("South Africa", 3), ("Singapore", 3), ("Norway", 2),
    ("Türkiye", 1), ("Côte d'Ivoire", 1),
)  # fmt: skip

# side, status for the client, status of the target, category, reason, weight: what can go wrong.
ERRORS = (
    ("proxy", 401, None, "AUTH", "Invalid Credentials", 14),
    ("proxy", 401, None, "AUTH", "Access Token Expired", 9),
    ("proxy", 403, None, "AUTH", "Subscription Validation Failed", 6),
    ("proxy", 429, None, "THROTTLED", "Application Level Throttled Out", 5),
    ("proxy", 429, None, "THROTTLED", "API Level Throttled Out", 3),
    ("proxy", 503, None, "TARGET_CONNECTIVITY", "Connection Refused", 2),
    ("proxy", 504, None, "TARGET_CONNECTIVITY", "Connection Timeout", 3),
    ("proxy", 404, None, "OTHER", "Resource Not Found", 8),
    ("proxy", 405, None, "OTHER", "Method Not Allowed", 2),
    ("proxy", 500, None, "OTHER", "Mediation Failed", 1),
    ("target", 400, 400, "OTHER", "Target Responded 400", 13),
    ("target", 404, 404, "OTHER", "Target Responded 404", 18),
    ("target", 409, 409, "OTHER", "Target Responded 409", 5),
    ("target", 500, 500, "OTHER", "Target Responded 500", 7),
    ("target", 502, 502, "OTHER", "Target Responded 502", 2),
    ("target", 503, 503, "OTHER", "Target Responded 503", 2),
)
