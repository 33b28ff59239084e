from notebook_pdf.command import run

if __name__ == "__main__":
    run()
