"""A page on this machine: images are dropped on it, classified, and their reports shown.

`medinv serve` binds the loopback address alone, and its pages name no other place: nothing leaves
the machine. What is dropped lies under the output folder and nowhere else, under names of our own.

    guard     who may ask: the host, the token in the address, the origin; headers of every answer
    uploads   what was dropped, on the disk, and how far each upload has come
    worker    classifies one upload after the other, by the code of `medinv classify`
    listing   the results of the folder, filtered
    pages     the page, from the templates and the style of the report
    app       the routes
    server    the socket, and Ctrl-C

To add a route, write a method of `app.Pages` and name it in `app.routes`.
"""
