class BundleAPI:
    api_version = 0
