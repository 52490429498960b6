"""Real packets between namespaces: probes that carry a nonce, and sniffers that look for it everywhere.

One process, one thread: a socket is opened while the thread is inside a namespace, and stays there. This
package sends and observes; what it means is judged in ``lab/judge.py``.
"""
