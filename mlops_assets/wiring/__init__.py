"""The composition root: settings in, a `Platform` with every port filled out.

Definitions, command line, gateway and worker all come here; nothing else knows which adapter stands behind a port, and
adapters are imported only when a platform is really made, so that loading definitions stays light.
"""
